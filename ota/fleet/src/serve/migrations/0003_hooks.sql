-- How far web hooks have been told: seconds of arrival, or records.
CREATE TABLE hooks (
    what TEXT PRIMARY KEY,
    upto BIGINT NOT NULL
);
