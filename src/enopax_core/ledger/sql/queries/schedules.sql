-- name: set_schedule
INSERT INTO schedules (subject, name, endpoint, every_seconds, due_at)
VALUES (:subject, :name, :endpoint, :every_seconds, :due_at)
ON CONFLICT (subject, name) DO UPDATE SET every_seconds = excluded.every_seconds, due_at = excluded.due_at;

-- name: keep_schedule
-- At start: a schedule that is already there keeps its due time unless its interval changed.
INSERT INTO schedules (subject, name, endpoint, every_seconds, due_at)
VALUES (:subject, :name, :endpoint, :every_seconds, :due_at)
ON CONFLICT (subject, name) DO UPDATE SET every_seconds = excluded.every_seconds, due_at = excluded.due_at
 WHERE schedules.every_seconds IS NOT excluded.every_seconds;

-- name: due_schedules
SELECT * FROM schedules WHERE due_at <= :now ORDER BY due_at LIMIT :size;

-- name: advance_schedule
-- Only who moves the due time on creates the operation: once per due time across all workers.
UPDATE schedules SET due_at = :next WHERE subject = :subject AND name = :name AND due_at = :due_at RETURNING subject;

-- name: drop_schedules
DELETE FROM schedules WHERE subject = :subject;

-- name: drop_schedule
-- Only who takes a single due time away creates its operation.
DELETE FROM schedules WHERE subject = :subject AND name = :name AND due_at = :due_at RETURNING subject;
