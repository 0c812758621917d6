-- name: add_event
INSERT INTO events (id, type, operation, resource, organisation, project, sequence, at, data)
VALUES (:id, :type, :operation, :resource, :organisation, :project, :sequence, :at, :data)
RETURNING position;

-- name: events_of_operation
SELECT * FROM events WHERE operation = :operation AND position > :after ORDER BY position LIMIT :size;

-- name: events_of_project
SELECT * FROM events WHERE project = :project AND position > :after ORDER BY position LIMIT :size;

-- name: all_events
SELECT * FROM events WHERE position > :after ORDER BY position LIMIT :size;

-- name: last_position
SELECT coalesce(max(position), 0) AS position FROM events;

-- name: drop_old_events
-- Only what every consumer has seen.
DELETE FROM events
 WHERE at < :before AND position <= coalesce((SELECT min(position) FROM cursors), (SELECT max(position) FROM events));

-- name: get_cursor
SELECT * FROM cursors WHERE consumer = :consumer;

-- name: set_cursor
INSERT INTO cursors (consumer, position, failures, error) VALUES (:consumer, :position, :failures, :error)
ON CONFLICT (consumer) DO UPDATE SET position = excluded.position, failures = excluded.failures, error = excluded.error;

-- name: all_cursors
SELECT * FROM cursors ORDER BY consumer;
