-- A token may let in a counted batch of devices: how many, how many came, and which ones (each may ask again).
ALTER TABLE tokens ADD COLUMN counted BIGINT NOT NULL DEFAULT 1;
ALTER TABLE tokens ADD COLUMN came BIGINT NOT NULL DEFAULT 0;

CREATE TABLE token_devices (
    hash TEXT NOT NULL,
    device TEXT NOT NULL,
    used_s BIGINT NOT NULL,
    PRIMARY KEY (hash, device)
);

INSERT INTO token_devices (hash, device, used_s) SELECT hash, device, used_s FROM tokens WHERE used_s <> 0;
UPDATE tokens SET came = 1 WHERE used_s <> 0;
ALTER TABLE tokens DROP COLUMN device;
ALTER TABLE tokens DROP COLUMN used_s;
