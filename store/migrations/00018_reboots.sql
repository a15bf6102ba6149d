-- Accounting-On and Off that have been applied: one that comes once more (from a journal that is drained again, or at
-- another server) must not close what has been told of since.

-- +goose Up
CREATE TABLE radial.reboots (
    nas    inet NOT NULL,
    at     timestamptz NOT NULL,  -- its event time
    status text NOT NULL,         -- on, off
    PRIMARY KEY (nas, at, status)
);
