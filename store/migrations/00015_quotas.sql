-- Quotas of data and steps of fair use, top-ups, billing days: what FreeRADIUS has no tables for (docs/decisions/0008-quotas.md).
-- Names are raw text here. Changes are told on radial_policy as 'U<JSON array of usernames>' and 'G<JSON array of groupnames>'.

-- +goose Up
CREATE TABLE radial.quotas (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject    text NOT NULL CHECK (subject IN ('user', 'group')),
    name       text NOT NULL CHECK (name <> ''),       -- username or groupname
    period     text NOT NULL CHECK (period IN ('day', 'week', 'month', 'ever')),
    counts     text NOT NULL CHECK (counts IN ('total', 'up', 'down')),
    octets     bigint NOT NULL CHECK (octets = -1 OR octets > 0), -- -1: unlimited, whatever a group says
    rate_down  bigint CHECK (rate_down > 0),           -- bits per second: beyond its octets the user is slowed to these rates;
    rate_up    bigint CHECK (rate_up > 0),             -- without them there is nothing beyond
    carry_over boolean NOT NULL DEFAULT false,         -- what was left of the period before is added
    CHECK ((rate_down IS NULL) = (rate_up IS NULL)),
    CHECK (rate_down IS NULL OR octets > 0 AND NOT carry_over)
);
CREATE INDEX quotas_name_idx ON radial.quotas (name, subject);
CREATE UNIQUE INDEX quotas_one_idx ON radial.quotas (name, subject, period, counts) WHERE rate_down IS NULL;
CREATE UNIQUE INDEX quotas_step_idx ON radial.quotas (name, subject, period, counts, octets) WHERE rate_down IS NOT NULL;

-- Octets beyond each of a user's quotas.
CREATE TABLE radial.topups (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    username  text NOT NULL CHECK (username <> ''),
    octets    bigint NOT NULL CHECK (octets > 0),
    from_day  date NOT NULL,                           -- on which it was made
    until_day date CHECK (until_day > from_day),       -- the first day on which it does not count; NULL: the end of the quota's period
    comment   text NOT NULL DEFAULT '',
    made_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX topups_username_idx ON radial.topups (username);

ALTER TABLE radial.subscribers ADD COLUMN billing_day smallint CHECK (billing_day BETWEEN 1 AND 31); -- on which his months begin

-- What is wanted of the open sessions of users who have used a quota up or are beyond a step: the latest word for each user.
CREATE TABLE radial.orders (
    username  text PRIMARY KEY,
    want      text NOT NULL CHECK (want IN ('disconnect', 'rate')),
    rate_down bigint,
    rate_up   bigint,
    reason    text NOT NULL,
    detail    text NOT NULL,
    made_at   timestamptz NOT NULL DEFAULT now()
);

-- +goose StatementBegin
CREATE FUNCTION radial.limits_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
-- Transition tables are named newrows and oldrows.
DECLARE
    kind  text;
    rows  text := CASE TG_OP WHEN 'INSERT' THEN 'SELECT * FROM newrows' WHEN 'DELETE' THEN 'SELECT * FROM oldrows'
                             ELSE 'SELECT * FROM newrows UNION ALL SELECT * FROM oldrows' END;
    names text[];
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM pg_notify('radial_policy', '*');
        RETURN NULL;
    END IF;
    FOREACH kind IN ARRAY CASE TG_TABLE_NAME WHEN 'quotas' THEN '{user,group}' ELSE '{user}' END::text[] LOOP
        EXECUTE format('SELECT array(SELECT DISTINCT %I FROM (%s) r WHERE %s LIMIT 2001)', TG_ARGV[0], rows,
                       CASE TG_TABLE_NAME WHEN 'quotas' THEN format('subject = %L', kind) ELSE 'true' END) INTO names;
        PERFORM radial.notify_names(CASE kind WHEN 'user' THEN 'U' ELSE 'G' END, names);
    END LOOP;
    RETURN NULL;
END $$;

CREATE FUNCTION radial.billing_day_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    names text[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        names := array(SELECT username FROM newrows WHERE billing_day IS NOT NULL LIMIT 2001);
    ELSE
        names := array(SELECT n.username FROM newrows n JOIN oldrows o USING (id) WHERE n.billing_day IS DISTINCT FROM o.billing_day LIMIT 2001);
    END IF;
    PERFORM radial.notify_names('U', names);
    RETURN NULL;
END $$;

DO $$
DECLARE
    t record;
BEGIN
    FOR t IN SELECT * FROM (VALUES ('radial.quotas', 'name'), ('radial.topups', 'username')) v(tbl, col) LOOP
        EXECUTE format('CREATE TRIGGER radial_insert AFTER INSERT ON %s REFERENCING NEW TABLE AS newrows FOR EACH STATEMENT EXECUTE FUNCTION radial.limits_changed(%L)', t.tbl, t.col);
        EXECUTE format('CREATE TRIGGER radial_update AFTER UPDATE ON %s REFERENCING OLD TABLE AS oldrows NEW TABLE AS newrows FOR EACH STATEMENT EXECUTE FUNCTION radial.limits_changed(%L)', t.tbl, t.col);
        EXECUTE format('CREATE TRIGGER radial_delete AFTER DELETE ON %s REFERENCING OLD TABLE AS oldrows FOR EACH STATEMENT EXECUTE FUNCTION radial.limits_changed(%L)', t.tbl, t.col);
        EXECUTE format('CREATE TRIGGER radial_truncate AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION radial.limits_changed(%L)', t.tbl, t.col);
    END LOOP;
END $$;
-- +goose StatementEnd

CREATE TRIGGER radial_insert AFTER INSERT ON radial.subscribers REFERENCING NEW TABLE AS newrows FOR EACH STATEMENT EXECUTE FUNCTION radial.billing_day_changed();
CREATE TRIGGER radial_update AFTER UPDATE ON radial.subscribers REFERENCING OLD TABLE AS oldrows NEW TABLE AS newrows FOR EACH STATEMENT EXECUTE FUNCTION radial.billing_day_changed();
