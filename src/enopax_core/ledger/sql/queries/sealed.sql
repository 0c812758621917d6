-- Secrets outside of resources, for sealing them under a new key.

-- name: sealed_operations_input
SELECT rowid AS rowid, sealed_input AS sealed FROM operations WHERE sealed_input IS NOT NULL;

-- name: reseal_operations_input
UPDATE operations SET sealed_input = :sealed WHERE rowid = :rowid;

-- name: sealed_operations_result
SELECT rowid AS rowid, sealed_result AS sealed FROM operations WHERE sealed_result IS NOT NULL;

-- name: reseal_operations_result
UPDATE operations SET sealed_result = :sealed WHERE rowid = :rowid;

-- name: sealed_steps
SELECT rowid AS rowid, sealed_result AS sealed FROM steps WHERE sealed_result IS NOT NULL;

-- name: reseal_steps
UPDATE steps SET sealed_result = :sealed WHERE rowid = :rowid;

-- name: sealed_idempotency
SELECT rowid AS rowid, sealed_answer AS sealed FROM idempotency WHERE sealed_answer IS NOT NULL;

-- name: reseal_idempotency
UPDATE idempotency SET sealed_answer = :sealed WHERE rowid = :rowid;
