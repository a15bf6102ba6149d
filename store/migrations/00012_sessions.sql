-- Sessions of which nothing is heard any more.

-- +goose Up
-- How long the database has been up and all accounting in it, as far as the job that looks for such sessions has seen:
-- missed interims count in that time alone.
CREATE TABLE radial.session_clock (
    one   boolean PRIMARY KEY DEFAULT true CHECK (one),
    at    timestamptz NOT NULL DEFAULT now(),  -- of the last look
    since timestamptz NOT NULL DEFAULT now(),  -- without a gap
    up    interval NOT NULL DEFAULT '0'        -- in all
);
INSERT INTO radial.session_clock DEFAULT VALUES;

-- Open sessions that have missed an interim, by their own times, and what their rows said then. They are closed when the
-- row has not changed for long enough by our clock: a device's own may be wrong by weeks.
CREATE TABLE radial.session_watch (
    radacctid  bigint PRIMARY KEY,
    seen       timestamptz NOT NULL,  -- acctupdatetime, else acctstarttime
    counted    bigint NOT NULL,       -- of octets and session time
    quiet_from interval NOT NULL,     -- by session_clock.up
    every      interval               -- in which it reports; NULL: nobody knows
);
