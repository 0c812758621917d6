-- name: add_resource
INSERT INTO resources (
    id, endpoint, organisation, project, name, name_held, user_id, "plan", status, message, access, connection, ssh_keys,
    config, applied, sealed_config, sealed_applied, sealed_state, sealed_credentials, conditions, holds, health,
    has_backend, version, created_at, updated_at, deleted_at, expires_at
) VALUES (
    :id, :endpoint, :organisation, :project, :name, :name_held, :user_id, :plan, :status, :message, :access, :connection, :ssh_keys,
    :config, :applied, :sealed_config, :sealed_applied, :sealed_state, :sealed_credentials, :conditions, :holds, :health,
    :has_backend, :version, :created_at, :updated_at, :deleted_at, :expires_at
) RETURNING position;

-- name: replace_resource
-- The whole record: it was read in this transaction. What never changes is left out.
UPDATE resources SET
    name = :name, name_held = :name_held, user_id = :user_id, "plan" = :plan, status = :status, message = :message,
    access = :access, connection = :connection, ssh_keys = :ssh_keys, config = :config, applied = :applied,
    sealed_config = :sealed_config, sealed_applied = :sealed_applied, sealed_state = :sealed_state,
    sealed_credentials = :sealed_credentials, conditions = :conditions, holds = :holds, health = :health,
    has_backend = :has_backend, version = :version, updated_at = :updated_at, deleted_at = :deleted_at, expires_at = :expires_at
 WHERE id = :id;

-- name: get_resource
SELECT * FROM resources WHERE id = :id;

-- name: find_resource
SELECT * FROM resources WHERE endpoint = :endpoint AND project = :project AND name = :name AND name_held = 1;

-- name: list_resources
-- Deleted ones only when asked for. A page begins behind the last position of the one before: no row twice, none left out.
SELECT * FROM resources
 WHERE project = :project AND endpoint = :endpoint AND position > :after
   AND CASE WHEN :status IS NULL THEN status <> 'deleted' ELSE status = :status END
 ORDER BY position LIMIT :size;

-- name: list_resources_of_endpoint
SELECT * FROM resources WHERE endpoint = :endpoint AND position > :after ORDER BY position LIMIT :size;

-- name: drop_resource
DELETE FROM resources WHERE id = :id;

-- name: count_resources
SELECT endpoint, status, count(*) AS number FROM resources GROUP BY endpoint, status;

-- name: sealed_resources
SELECT * FROM resources
 WHERE position > :after
   AND coalesce(sealed_config, sealed_applied, sealed_state, sealed_credentials) IS NOT NULL
 ORDER BY position LIMIT :size;
