-- Who may read the devices' topics at the MQTT end point, by name and secret.
CREATE TABLE readers (
    name TEXT PRIMARY KEY,
    hash TEXT NOT NULL,
    made_by TEXT NOT NULL,
    made_s BIGINT NOT NULL
);
