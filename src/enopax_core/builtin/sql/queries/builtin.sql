-- name: find_project
-- By name or by slug; the project may be missing although its organisation exists.
SELECT o.id AS organisation_id, o.name AS organisation, o.slug AS organisation_slug,
       p.id AS project_id, p.name AS project, p.slug AS project_slug
  FROM organisations AS o
  LEFT JOIN projects AS p
    ON p.organisation = o.id AND CASE WHEN :by = 'slug' THEN p.slug ELSE p.name END = :project
 WHERE CASE WHEN :by = 'slug' THEN o.slug ELSE o.name END = :organisation;

-- name: name_projects
SELECT o.id AS organisation_id, o.name AS organisation, o.slug AS organisation_slug,
       p.id AS project_id, p.name AS project, p.slug AS project_slug
  FROM projects AS p JOIN organisations AS o ON o.id = p.organisation
 WHERE p.id IN (SELECT value FROM json_each(:projects));

-- name: name_organisation
SELECT id AS organisation_id, name AS organisation, slug AS organisation_slug FROM organisations WHERE id = :id;

-- name: get_organisation
SELECT id, name, slug FROM organisations WHERE name = :name;

-- name: get_project
SELECT id FROM projects WHERE organisation = :organisation AND name = :name;

-- name: slugs_like_organisation
SELECT slug FROM organisations WHERE slug = :slug OR slug GLOB :pattern;

-- name: slugs_like_project
SELECT slug FROM projects WHERE organisation = :organisation AND (slug = :slug OR slug GLOB :pattern);

-- name: add_organisation
INSERT INTO organisations (id, name, slug, created_at) VALUES (:id, :name, :slug, :created_at);

-- name: add_project
INSERT INTO projects (id, organisation, name, slug, created_at) VALUES (:id, :organisation, :name, :slug, :created_at);

-- name: find_key
SELECT * FROM keys WHERE hash = :hash AND revoked_at IS NULL;

-- name: get_key
SELECT * FROM keys WHERE id = :id AND revoked_at IS NULL;

-- name: list_keys
SELECT * FROM keys
 WHERE revoked_at IS NULL AND position > :after
   AND (:organisation IS NULL OR organisation = :organisation) AND (:project IS NULL OR project = :project)
 ORDER BY position LIMIT :size;

-- name: add_key
INSERT INTO keys (id, hash, preview, name, role, permissions, organisation, project, created_by, created_at, expires_at)
VALUES (:id, :hash, :preview, :name, :role, :permissions, :organisation, :project, :created_by, :created_at, :expires_at);

-- name: rehash_key
UPDATE keys SET hash = :hash, preview = :preview WHERE id = :id AND revoked_at IS NULL RETURNING id;

-- name: revoke_key
UPDATE keys SET revoked_at = :now WHERE id = :id AND revoked_at IS NULL RETURNING id;

-- name: count_keys
SELECT count(*) AS number FROM keys;

-- name: add_token
INSERT INTO tokens (hash, id, resource, organisation, project, principal, credential, expires_at)
VALUES (:hash, :id, :resource, :organisation, :project, :principal, :credential, :expires_at);

-- name: find_token
-- A token ends with the key that made it.
SELECT * FROM tokens
 WHERE hash = :hash AND expires_at > :now
   AND NOT EXISTS (SELECT 1 FROM keys WHERE keys.id = tokens.credential AND keys.revoked_at IS NOT NULL);

-- name: drop_old_tokens
DELETE FROM tokens WHERE expires_at <= :now;
