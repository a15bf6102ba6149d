-- What users have used, by civil day in the zone of radial.settings: docs/decisions/0007-usage.md has the reasons.

-- +goose Up
-- The usage of days that sessions have left behind. Names are raw text, as in all of schema radial. Octets as radacct has
-- them: input is upload. sessions: how many began that day.
CREATE TABLE radial.usage_daily (
    username text NOT NULL,
    day      date NOT NULL,
    seconds  bigint NOT NULL,
    input    bigint NOT NULL,
    output   bigint NOT NULL,
    sessions bigint NOT NULL,
    PRIMARY KEY (username, day)
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05);
CREATE INDEX usage_daily_day_idx ON radial.usage_daily USING brin (day); -- days come in order; this costs a Stop nothing

-- How much of a session stands in usage_daily. An open session without a row: nothing; a closed one without: all of it.
-- So the table has the open sessions that midnight has found, and those that somebody else than the ledger has closed,
-- until the job comes by (pending).
CREATE TABLE radial.usage_session (
    radacctid bigint PRIMARY KEY,
    day       date,                        -- that what is used next belongs to; NULL: nothing has been folded
    seconds   bigint NOT NULL DEFAULT 0,
    input     bigint NOT NULL DEFAULT 0,
    output    bigint NOT NULL DEFAULT 0,
    pending   boolean NOT NULL DEFAULT false,
    username  text,                        -- of pending ones, as radacct has it
    -- What a row was that is not in radacct any more.
    gone           boolean NOT NULL DEFAULT false,
    gone_start     timestamptz,
    gone_update    timestamptz,
    gone_seconds   bigint,
    gone_input     bigint,
    gone_output    bigint
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX usage_session_pending_idx ON radial.usage_session (username, radacctid) WHERE pending;

-- Sessions that were closed before there was a ledger are folded by a job, the newest first: those up to radacctid upto
-- are not yet. Of them, also what has been folded keeps its row of usage_session until the job has passed.
CREATE TABLE radial.usage_backfill (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    bound   bigint NOT NULL, -- the newest row of the time before
    upto    bigint NOT NULL, -- 0: done
    folded  bigint NOT NULL DEFAULT 0,
    begun   timestamptz NOT NULL DEFAULT now(),
    touched timestamptz NOT NULL DEFAULT now()
);

-- Rows that are closed, or changed afterwards, by anybody but the ledger (who says so by radial.usage = kept, and folds them
-- itself): FreeRADIUS, an Accounting-On, the job that closes silent sessions, psql. Runs with the row locked.
-- +goose StatementBegin
CREATE FUNCTION radial.usage_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    early boolean;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.acctstoptime IS NULL THEN
            RETURN NULL;
        END IF;
    ELSIF NEW.acctstoptime IS NULL AND OLD.acctstoptime IS NULL
          OR (NEW.acctstoptime, NEW.acctsessiontime, NEW.acctinputoctets, NEW.acctoutputoctets)
             IS NOT DISTINCT FROM (OLD.acctstoptime, OLD.acctsessiontime, OLD.acctinputoctets, OLD.acctoutputoctets) THEN
        RETURN NULL;
    END IF;
    early := NEW.radacctid <= (SELECT b.upto FROM radial.usage_backfill b);
    IF early THEN
        PERFORM pg_advisory_xact_lock_shared(504446936933); -- who backfills waits; upto stands still
        early := NEW.radacctid <= (SELECT b.upto FROM radial.usage_backfill b);
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.acctstoptime IS NOT NULL AND NOT early THEN -- all that it was has been folded
        INSERT INTO radial.usage_session AS u (radacctid, day, seconds, input, output, pending, username)
        VALUES (NEW.radacctid,
                CASE WHEN isfinite(OLD.acctstoptime) THEN (OLD.acctstoptime AT TIME ZONE coalesce((SELECT s.value FROM radial.settings s WHERE s.key = 'timezone'), 'UTC'))::date
                     ELSE 'epoch'::date END,
                coalesce(OLD.acctsessiontime, 0), coalesce(OLD.acctinputoctets, 0), coalesce(OLD.acctoutputoctets, 0), NEW.acctstoptime IS NOT NULL, NEW.username)
        ON CONFLICT (radacctid) DO UPDATE SET pending = excluded.pending, username = excluded.username;
    ELSE
        INSERT INTO radial.usage_session AS u (radacctid, pending, username) VALUES (NEW.radacctid, NEW.acctstoptime IS NOT NULL, NEW.username)
        ON CONFLICT (radacctid) DO UPDATE SET pending = excluded.pending, username = excluded.username;
    END IF;
    RETURN NULL;
END
$$;

-- +goose StatementEnd

-- +goose StatementBegin
-- Rows that go while they hold what has not been folded: open ones, and those that are pending.
CREATE FUNCTION radial.usage_deleted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    upto bigint := (SELECT b.upto FROM radial.usage_backfill b);
BEGIN
    IF upto > 0 AND upto >= (SELECT min(o.radacctid) FROM oldrows o) THEN
        PERFORM pg_advisory_xact_lock_shared(504446936933);
        upto := (SELECT b.upto FROM radial.usage_backfill b);
    END IF;
    INSERT INTO radial.usage_session AS u (radacctid, pending, username, gone, gone_start, gone_update, gone_seconds, gone_input, gone_output)
    SELECT o.radacctid, true, o.username, true, o.acctstarttime, coalesce(o.acctstoptime, o.acctupdatetime), o.acctsessiontime, o.acctinputoctets, o.acctoutputoctets
    FROM oldrows o LEFT JOIN radial.usage_session s ON s.radacctid = o.radacctid
    WHERE o.acctstoptime IS NULL OR s.radacctid IS NOT NULL OR o.radacctid <= upto
    ORDER BY o.radacctid
    ON CONFLICT (radacctid) DO UPDATE
    SET pending = true, username = excluded.username, gone = true, gone_start = excluded.gone_start, gone_update = excluded.gone_update,
        gone_seconds = excluded.gone_seconds, gone_input = excluded.gone_input, gone_output = excluded.gone_output;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- Nobody may write between the bound and the triggers.
LOCK TABLE radacct IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO radial.usage_backfill (bound, upto) SELECT coalesce(max(radacctid), 0), coalesce(max(radacctid), 0) FROM radacct;
-- No condition names a column: the types of FreeRADIUS's columns stay free to be changed.
CREATE TRIGGER radial_usage_change AFTER INSERT OR UPDATE ON radacct FOR EACH ROW
    WHEN (current_setting('radial.usage', true) IS DISTINCT FROM 'kept') EXECUTE FUNCTION radial.usage_changed();
CREATE TRIGGER radial_usage_delete AFTER DELETE ON radacct REFERENCING OLD TABLE AS oldrows FOR EACH STATEMENT EXECUTE FUNCTION radial.usage_deleted();
