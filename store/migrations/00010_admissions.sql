-- Logins that Simultaneous-Use has let in and whose Accounting Start has not come: they count as sessions until then.

-- +goose Up
CREATE TABLE radial.admissions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username text NOT NULL, -- whose sessions are counted: the name that was looked up
    login text NOT NULL, -- the name that the NAS will account with
    nas inet,
    port text NOT NULL, -- NAS-Port-Id, else NAS-Port; '' if unknown, as all that follows
    mac text NOT NULL, -- Calling-Station-Id, normalised
    session_id text NOT NULL, -- Acct-Session-Id of the Access-Request
    replaces bigint[] NOT NULL, -- radacctids of the caller's own sessions, which end with its Start
    made_at timestamptz NOT NULL,
    until timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX admissions_username_idx ON radial.admissions (username);
CREATE INDEX admissions_login_idx ON radial.admissions (login);
