-- name: add_operation
INSERT INTO operations (
    id, type, subject, resource, endpoint, organisation, project, state, stage, percent, message, attempt, max_attempts, due_at,
    owner, lease_until, cancel_requested, sealed_input, sealed_result, error, principal, events, created_at, started_at, finished_at
) VALUES (
    :id, :type, :subject, :resource, :endpoint, :organisation, :project, :state, :stage, :percent, :message, :attempt, :max_attempts, :due_at,
    :owner, :lease_until, :cancel_requested, :sealed_input, :sealed_result, :error, :principal, :events, :created_at, :started_at, :finished_at
) RETURNING position;

-- name: get_operation
SELECT * FROM operations WHERE id = :id;

-- name: claim_operation
-- Only the head of its subject's line, due, with nothing of that subject running (one that is tried again stands before
-- what was accepted since, and that may run by now). The attempt is counted here, so that crash loops end.
UPDATE operations SET
    state = 'running', attempt = attempt + 1, owner = :owner, lease_until = :lease_until,
    started_at = coalesce(started_at, :now)
 WHERE id = :id AND state = 'queued' AND due_at <= :now
   AND NOT EXISTS (
       SELECT 1 FROM operations AS other
        WHERE other.subject = operations.subject AND other.state IN ('queued', 'running')
          AND (other.state = 'running' OR other.position < operations.position))
RETURNING *;

-- name: hold_lease
-- Fence and renewal in one: no row back means another worker took over.
UPDATE operations SET lease_until = :lease_until
 WHERE id = :id AND state = 'running' AND owner = :owner AND attempt = :attempt
RETURNING *;

-- name: fenced_operation
-- The fence of every write of a running attempt.
SELECT * FROM operations WHERE id = :id AND state = 'running' AND owner = :owner AND attempt = :attempt;

-- name: replace_operation
UPDATE operations SET
    state = :state, stage = :stage, percent = :percent, message = :message, attempt = :attempt, max_attempts = :max_attempts,
    due_at = :due_at, owner = :owner, lease_until = :lease_until, cancel_requested = :cancel_requested,
    sealed_input = :sealed_input, sealed_result = :sealed_result, error = :error, events = :events,
    started_at = :started_at, finished_at = :finished_at
 WHERE id = :id;

-- name: line_of
-- What is running or waits for a subject, in order.
SELECT * FROM operations WHERE subject = :subject AND state IN ('queued', 'running') ORDER BY position;

-- name: due_heads
-- Heads of lines that are due: published again, because a server may die between commit and publish. Those of plugins
-- that are missing here would be claimed by nobody and, past the limit, hide the others.
SELECT id FROM operations
 WHERE state = 'queued' AND due_at <= :now AND endpoint IN (SELECT value FROM json_each(:endpoints))
   AND NOT EXISTS (
       SELECT 1 FROM operations AS other
        WHERE other.subject = operations.subject AND other.state IN ('queued', 'running')
          AND (other.state = 'running' OR other.position < operations.position))
 ORDER BY due_at LIMIT :size;

-- name: expired_leases
SELECT * FROM operations WHERE state = 'running' AND lease_until < :now LIMIT :size;

-- name: running_operations
SELECT * FROM operations WHERE state = 'running';

-- name: list_operations
SELECT * FROM operations WHERE project = :project AND position > :after ORDER BY position LIMIT :size;

-- name: list_operations_of_resource
SELECT * FROM operations WHERE resource = :resource AND position > :after ORDER BY position LIMIT :size;

-- name: oldest_due
-- How long the longest waiting operation has been due: the age of the queue.
SELECT min(due_at) AS due_at, count(*) AS number FROM operations WHERE state = 'queued' AND due_at <= :now;

-- name: due_by_endpoint
SELECT endpoint, min(due_at) AS due_at, count(*) AS number FROM operations
 WHERE state = 'queued' AND due_at <= :now GROUP BY endpoint ORDER BY endpoint;

-- name: save_step
INSERT INTO steps (operation, name, sealed_result) VALUES (:operation, :name, :sealed_result)
ON CONFLICT (operation, name) DO UPDATE SET sealed_result = excluded.sealed_result;

-- name: steps_of
SELECT name, sealed_result FROM steps WHERE operation = :operation;

-- name: drop_steps
DELETE FROM steps WHERE operation = :operation;

-- name: drop_old_operations
-- Ended operations of tasks (reconcile and the like) and of resources that are gone.
DELETE FROM operations
 WHERE finished_at < :before
   AND (resource IS NULL OR NOT EXISTS (SELECT 1 FROM resources WHERE resources.id = operations.resource));
