-- name: audit_head
SELECT position, hash FROM audit_head;

-- name: move_audit_head
UPDATE audit_head SET position = :position, hash = :hash;

-- name: add_audit
INSERT INTO audit (position, at, principal, credential, action, organisation, project, resource, detail, previous, hash)
VALUES (:position, :at, :principal, :credential, :action, :organisation, :project, :resource, :detail, :previous, :hash);

-- name: all_audit
SELECT * FROM audit WHERE position > :after ORDER BY position LIMIT :size;

-- name: list_audit
-- What concerns the whole organisation stands in each of its projects.
SELECT * FROM audit
 WHERE organisation = :organisation AND (project = :project OR project IS NULL) AND position > :after
   AND (:action IS NULL OR action = :action)
   AND (:principal IS NULL OR principal = :principal)
   AND (:resource IS NULL OR resource = :resource)
   AND (:since IS NULL OR at >= :since)
 ORDER BY position LIMIT :size;
