CREATE TABLE organisations (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    slug TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL
);
CREATE TABLE projects (
    id TEXT PRIMARY KEY,
    organisation TEXT NOT NULL REFERENCES organisations (id),
    name TEXT NOT NULL,
    slug TEXT NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (organisation, name),
    UNIQUE (organisation, slug)
);
CREATE TABLE keys (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    hash TEXT NOT NULL UNIQUE,
    preview TEXT NOT NULL,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    permissions TEXT,
    organisation TEXT,
    project TEXT,
    created_by TEXT NOT NULL,
    created_at TEXT NOT NULL,
    expires_at TEXT,
    revoked_at TEXT
);
CREATE INDEX keys_organisation ON keys (organisation, position);
CREATE TABLE tokens (
    hash TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    resource TEXT NOT NULL,
    organisation TEXT NOT NULL,
    project TEXT NOT NULL,
    principal TEXT NOT NULL,
    credential TEXT NOT NULL,
    expires_at TEXT NOT NULL
);
CREATE INDEX tokens_expiry ON tokens (expires_at);
