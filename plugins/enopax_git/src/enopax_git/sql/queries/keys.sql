-- name: resources_of_key
SELECT resource FROM git_keys WHERE fingerprint = :fingerprint LIMIT 10000;

-- name: drop_keys
DELETE FROM git_keys WHERE resource = :resource;

-- name: add_key
INSERT INTO git_keys (fingerprint, resource) VALUES (:fingerprint, :resource) ON CONFLICT DO NOTHING;
