-- Moments are RFC 3339 text in UTC with microseconds, which sorts as time. JSON is text. Sealed columns are encrypted.

CREATE TABLE resources (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    endpoint TEXT NOT NULL,
    organisation TEXT NOT NULL,
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    name_held INTEGER NOT NULL,
    user_id TEXT,
    "plan" TEXT,
    status TEXT NOT NULL,
    message TEXT NOT NULL,
    access TEXT,
    connection TEXT NOT NULL,
    ssh_keys TEXT NOT NULL,
    config TEXT NOT NULL,
    applied TEXT,
    sealed_config BLOB,
    sealed_applied BLOB,
    sealed_state BLOB,
    sealed_credentials BLOB,
    conditions TEXT NOT NULL,
    holds TEXT NOT NULL,
    health TEXT,
    has_backend INTEGER NOT NULL,
    version INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    deleted_at TEXT,
    expires_at TEXT
);
-- A name belongs to the live resource that holds it; DELETE gives it up at once.
CREATE UNIQUE INDEX resources_name ON resources (endpoint, project, name) WHERE name_held = 1;
-- Listing: one project's resources of one endpoint, in order of creation, filtered by status.
CREATE INDEX resources_listing ON resources (project, endpoint, position);
CREATE INDEX resources_endpoint ON resources (endpoint, position);

CREATE TABLE operations (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    subject TEXT NOT NULL,
    resource TEXT,
    endpoint TEXT NOT NULL,
    organisation TEXT,
    project TEXT,
    state TEXT NOT NULL,
    stage TEXT NOT NULL,
    percent INTEGER NOT NULL,
    message TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    due_at TEXT NOT NULL,
    owner TEXT,
    lease_until TEXT,
    cancel_requested INTEGER NOT NULL,
    sealed_input BLOB,
    sealed_result BLOB,
    error TEXT,
    principal TEXT NOT NULL,
    events INTEGER NOT NULL,
    created_at TEXT NOT NULL,
    started_at TEXT,
    finished_at TEXT
);
-- One running operation for each subject.
CREATE UNIQUE INDEX operations_running ON operations (subject) WHERE state = 'running';
-- The line of each subject.
CREATE INDEX operations_line ON operations (subject, position) WHERE state IN ('queued', 'running');
CREATE INDEX operations_due ON operations (due_at) WHERE state = 'queued';
CREATE INDEX operations_leases ON operations (lease_until) WHERE state = 'running';
CREATE INDEX operations_resource ON operations (resource, position);
CREATE INDEX operations_finished ON operations (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX operations_project ON operations (project, position);

CREATE TABLE steps (
    operation TEXT NOT NULL,
    name TEXT NOT NULL,
    sealed_result BLOB,
    PRIMARY KEY (operation, name)
);

CREATE TABLE events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    operation TEXT,
    resource TEXT,
    organisation TEXT,
    project TEXT,
    sequence INTEGER NOT NULL,
    at TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX events_operation ON events (operation, position);
CREATE INDEX events_project ON events (project, position);

CREATE TABLE cursors (
    consumer TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    error TEXT
);

CREATE TABLE schedules (
    subject TEXT NOT NULL,
    name TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    every_seconds INTEGER,
    due_at TEXT NOT NULL,
    PRIMARY KEY (subject, name)
);
CREATE INDEX schedules_due ON schedules (due_at);

CREATE TABLE idempotency (
    caller TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    operation TEXT,
    sealed_answer BLOB,
    created_at TEXT NOT NULL,
    PRIMARY KEY (caller, key)
);
CREATE INDEX idempotency_age ON idempotency (created_at);

CREATE TABLE audit (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    at TEXT NOT NULL,
    principal TEXT NOT NULL,
    credential TEXT NOT NULL,
    action TEXT NOT NULL,
    organisation TEXT,
    project TEXT,
    resource TEXT,
    detail TEXT
);
CREATE INDEX audit_project ON audit (organisation, project, position);
