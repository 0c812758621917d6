-- A released port stays here for a while: what still connects to it must not meet somebody else's service.
CREATE TABLE ports (
    number INTEGER PRIMARY KEY,
    owner TEXT NOT NULL,
    name TEXT NOT NULL,
    allocated_at TEXT NOT NULL,
    released_at TEXT
);
CREATE UNIQUE INDEX ports_owner ON ports (owner, name) WHERE released_at IS NULL;
