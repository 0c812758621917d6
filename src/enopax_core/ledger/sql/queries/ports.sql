-- name: take_port
-- No row back: another owner has it, or it was released too lately.
INSERT INTO ports (number, owner, name, allocated_at, released_at) VALUES (:number, :owner, :name, :now, NULL)
ON CONFLICT (number) DO UPDATE
   SET owner = excluded.owner, name = excluded.name, allocated_at = excluded.allocated_at, released_at = NULL
 WHERE ports.released_at <= :released_before
RETURNING *;

-- name: ports_of
SELECT * FROM ports WHERE owner = :owner AND released_at IS NULL ORDER BY name;

-- name: ports_in_use
SELECT * FROM ports WHERE released_at IS NULL ORDER BY number;

-- name: ports_not_to_give
SELECT number FROM ports WHERE released_at IS NULL OR released_at > :released_before;

-- name: latest_port
-- Where the search goes on, so that a number is used again as late as possible.
SELECT number FROM ports ORDER BY allocated_at DESC, number DESC LIMIT 1;

-- name: release_ports
UPDATE ports SET released_at = :now WHERE owner = :owner AND released_at IS NULL AND (:name IS NULL OR name = :name);
