-- What devices were asked to do once, and what became of it. A request is what a person asked for: one order for each device, or some.
CREATE TABLE orders (
    id TEXT PRIMARY KEY,
    device TEXT NOT NULL,
    request TEXT NOT NULL,
    kind TEXT NOT NULL,
    what TEXT NOT NULL,
    made_by TEXT NOT NULL,
    made_s BIGINT NOT NULL,
    until_s BIGINT NOT NULL,
    answered_s BIGINT NOT NULL DEFAULT 0,
    result TEXT NOT NULL DEFAULT '',
    removed BIGINT NOT NULL DEFAULT 0,
    unsure BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX orders_by_device ON orders (device, answered_s);
CREATE INDEX orders_by_request ON orders (request);
CREATE INDEX orders_by_time ON orders (made_s);
