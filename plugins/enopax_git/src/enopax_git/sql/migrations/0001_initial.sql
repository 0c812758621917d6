-- Which public keys may reach which repositories; looked up by the fingerprint of the key that signed.
CREATE TABLE git_keys (
    fingerprint TEXT NOT NULL,
    resource TEXT NOT NULL,
    PRIMARY KEY (fingerprint, resource)
) WITHOUT ROWID;
CREATE INDEX git_keys_resource ON git_keys (resource);
