-- Accounting-On and Off that have been applied: one that is applied once more, from a journal that is drained again, must
-- not close what has been told of since.

-- +goose Up
CREATE TABLE radial.reboots (
    nas      inet NOT NULL,
    received timestamptz NOT NULL,  -- by the server: tells it from one that the NAS sends again
    at       timestamptz NOT NULL,  -- its event time
    status   text NOT NULL,         -- on, off
    PRIMARY KEY (nas, received, at, status)
);
