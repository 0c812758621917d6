-- name: get_request
SELECT * FROM idempotency WHERE caller = :caller AND key = :key AND created_at > :after;

-- name: drop_stale_request
DELETE FROM idempotency WHERE caller = :caller AND key = :key AND created_at <= :after;

-- name: add_request
INSERT INTO idempotency (caller, key, fingerprint, operation, sealed_answer, created_at)
VALUES (:caller, :key, :fingerprint, :operation, :sealed_answer, :created_at);

-- name: answer_request
UPDATE idempotency SET sealed_answer = :sealed_answer WHERE caller = :caller AND key = :key;

-- name: drop_old_requests
DELETE FROM idempotency WHERE created_at <= :before;
