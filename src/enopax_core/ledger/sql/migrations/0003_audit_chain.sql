-- The audit log is append-only and chained: each entry carries the hash of the one before. These triggers stop mistakes;
-- whoever can write the file can drop them, so `enopax audit verify` relies on the hashes alone.
ALTER TABLE audit ADD COLUMN previous TEXT; -- NULL: written before there was a chain
ALTER TABLE audit ADD COLUMN hash TEXT;

-- One row: what the next entry follows. It also shows a tail that was cut off.
CREATE TABLE audit_head (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    position INTEGER NOT NULL,
    hash TEXT NOT NULL
);
INSERT INTO audit_head (only, position, hash) SELECT 1, coalesce(max(position), 0), '' FROM audit;

CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_is_not_cut BEFORE DELETE ON audit BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_goes_on_at_its_end BEFORE INSERT ON audit
WHEN NOT EXISTS (SELECT 1 FROM audit_head WHERE position + 1 = new.position AND hash = new.previous) BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_head_goes_on BEFORE UPDATE ON audit_head WHEN new.position <> old.position + 1 BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
CREATE TRIGGER audit_head_stays BEFORE DELETE ON audit_head BEGIN
    SELECT RAISE(ABORT, 'the audit log is append-only');
END;
