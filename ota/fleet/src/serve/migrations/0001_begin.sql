-- Written so that SQLite and PostgreSQL read it alike: TEXT and BIGINT only, times in seconds since 1970, digests and keys in
-- lower-case hexadecimal digits.

CREATE TABLE devices (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    replaces TEXT NOT NULL,
    enrolled_s BIGINT NOT NULL,
    changed_s BIGINT NOT NULL,
    seen_s BIGINT NOT NULL,
    certificate_until_s BIGINT NOT NULL
);

CREATE TABLE tokens (
    hash TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    made_by TEXT NOT NULL,
    made_s BIGINT NOT NULL,
    expires_s BIGINT NOT NULL,
    device TEXT NOT NULL,
    used_s BIGINT NOT NULL
);

-- Boots in the order in which they were first seen: one that comes again after a later one is a copy.
CREATE TABLE boots (
    device TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    first_s BIGINT NOT NULL,
    PRIMARY KEY (device, boot_id)
);

CREATE TABLE messages (
    device TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    received_s BIGINT NOT NULL,
    PRIMARY KEY (device, boot_id, seq)
);
CREATE INDEX messages_by_kind ON messages (kind, received_s);
CREATE INDEX messages_by_device ON messages (device, kind, received_s);

CREATE TABLE outcomes (
    device TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    rollout_id TEXT NOT NULL,
    phase TEXT NOT NULL,
    digest TEXT NOT NULL,
    document TEXT NOT NULL,
    received_s BIGINT NOT NULL,
    PRIMARY KEY (device, boot_id, seq)
);
CREATE INDEX outcomes_by_rollout ON outcomes (rollout_id, received_s);

CREATE TABLE batches (
    device TEXT NOT NULL,
    id TEXT NOT NULL,
    length BIGINT NOT NULL,
    receipts TEXT NOT NULL,
    changed_s BIGINT NOT NULL,
    PRIMARY KEY (device, id)
);

CREATE TABLE records (
    digest TEXT PRIMARY KEY,
    device TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    length BIGINT NOT NULL,
    class BIGINT NOT NULL,
    expires_s BIGINT NOT NULL,
    received_s BIGINT NOT NULL
);
CREATE INDEX records_by_time ON records (received_s);

-- What could not be understood: kept for a person to look at.
CREATE TABLE dead_letters (
    number BIGINT PRIMARY KEY,
    device TEXT NOT NULL,
    what TEXT NOT NULL,
    problem TEXT NOT NULL,
    body TEXT NOT NULL,
    received_s BIGINT NOT NULL
);

CREATE TABLE acknowledgements (
    device TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    seq BIGINT NOT NULL,
    event TEXT NOT NULL,
    by_whom TEXT NOT NULL,
    at_s BIGINT NOT NULL,
    PRIMARY KEY (device, boot_id, seq)
);

CREATE TABLE people (
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    password TEXT NOT NULL,
    totp TEXT NOT NULL,
    last_step BIGINT NOT NULL,
    made_s BIGINT NOT NULL
);

CREATE TABLE invitations (
    hash TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    totp TEXT NOT NULL,
    made_by TEXT NOT NULL,
    expires_s BIGINT NOT NULL
);

CREATE TABLE sessions (
    hash TEXT PRIMARY KEY,
    person TEXT NOT NULL,
    made_s BIGINT NOT NULL,
    seen_s BIGINT NOT NULL
);

-- The first of two persons that a step needs.
CREATE TABLE approvals (
    rollout_id TEXT NOT NULL,
    step TEXT NOT NULL,
    percent_bp BIGINT NOT NULL,
    by_whom TEXT NOT NULL,
    at_s BIGINT NOT NULL,
    PRIMARY KEY (rollout_id, step, percent_bp)
);
