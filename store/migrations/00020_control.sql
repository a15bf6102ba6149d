-- Control: what is done to sessions that run (docs/control.md).

-- +goose Up
CREATE SEQUENCE radial.wish_serial;

-- What was wanted last of whose sessions: the last wish wins. A job whose serial is not the last one's does nothing; taken says that a job has
-- begun to look, so that what is changed from now on needs another.
CREATE TABLE radial.wishes (
    subject text PRIMARY KEY,                          -- user:NAME as radacct names him, raw; session:RADACCTID
    serial  bigint NOT NULL,
    taken   boolean NOT NULL DEFAULT false,
    made_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);

-- A session that control has dealt with. No foreign key: rows of radacct come and go by other hands.
CREATE TABLE radial.enforcements (
    radacctid     bigint PRIMARY KEY,
    claimed_by    text,                                -- who acts on it now: client of the queue # count; nobody else may until
    claimed_until timestamptz,
    soft          bigint,                              -- what it has had since the last CoA that was acknowledged (aaa.Mark); NULL: what its login gave it
    hard          bigint,
    verb          text CHECK (verb IN ('change', 'disconnect')), -- the last deed, and what came of it
    result        text,
    cause         bigint,                              -- Error-Cause
    detail        text,
    via           text,
    tries         integer,
    actor         text,
    why           text,
    at            timestamptz,                         -- when it was answered, or given up
    close_at      timestamptz                          -- the device has let it go: closed then unless a Stop has done it
) WITH (fillfactor = 70);
CREATE INDEX enforcements_close_idx ON radial.enforcements (close_at) WHERE close_at IS NOT NULL;
CREATE INDEX enforcements_at_idx ON radial.enforcements USING brin (at);

-- Sessions of which one thing is wanted, worked off at a pace by one job.
CREATE TABLE radial.bulk (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    verb        text NOT NULL CHECK (verb IN ('follow', 'change', 'disconnect')),
    asked       text NOT NULL,                         -- in words: package gold
    actor       text NOT NULL,
    why         text NOT NULL,
    rate        integer NOT NULL CHECK (rate > 0),     -- sessions a second
    rate_down   bigint CHECK (rate_down > 0),          -- with change: bits per second
    rate_up     bigint CHECK (rate_up > 0),
    total       integer NOT NULL DEFAULT 0,
    made_at     timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    cancelled_by text
);
CREATE TABLE radial.bulk_targets (
    bulk_id   bigint NOT NULL REFERENCES radial.bulk ON DELETE CASCADE,
    radacctid bigint NOT NULL,
    username  text NOT NULL,                           -- raw
    nas       inet NOT NULL,
    tries     smallint NOT NULL DEFAULT 0,
    next_at   timestamptz NOT NULL DEFAULT now(),
    taken     boolean NOT NULL DEFAULT false,          -- by the job that runs
    result    text,                                    -- NULL: to be done
    cause     bigint,
    detail    text,
    PRIMARY KEY (bulk_id, radacctid)
) WITH (fillfactor = 70);
CREATE INDEX bulk_targets_next_idx ON radial.bulk_targets (bulk_id, next_at) WHERE result IS NULL;

-- +goose Down
DROP TABLE radial.bulk_targets, radial.bulk, radial.enforcements, radial.wishes;
DROP SEQUENCE radial.wish_serial;
