-- The history of addresses by months: old months can go at once, and a question about one day opens few partitions.
-- A month here is one of UTC: borders are instants, the same for every server and session, whatever time zone days are
-- reckoned in, and no hour is there twice.

-- +goose Up
ALTER TABLE radial.address_history RENAME TO address_history_before;
ALTER SEQUENCE radial.address_history_id_seq RENAME TO address_history_before_id_seq;
DROP INDEX radial.address_history_address_idx, radial.address_history_user_idx;

-- One row for each change of holder. Rows come about in order of id; at is when it happened, by the device where it told.
CREATE TABLE radial.address_history (
    id         bigint GENERATED ALWAYS AS IDENTITY,
    at         timestamptz NOT NULL DEFAULT now(),
    vrf_id     integer NOT NULL,
    address    inet NOT NULL,   -- IPv6: the prefix that was leased
    pool_id    bigint,
    action     text NOT NULL CHECK (action IN ('bound', 'released', 'expired', 'taken_over', 'reserved', 'unreserved')),
    username   text,            -- of bound, taken_over and reserved: who has it from now on; of the others: who had it
    mac        text,
    nas        inet,
    port       text,
    session_id text,
    radacctid  bigint,
    reason     text,
    actor      text             -- of what no session did: cli:root, job:name
) PARTITION BY RANGE (at);
-- Each costs PostgreSQL time at every login: no other.
CREATE INDEX address_history_address_idx ON radial.address_history (address, at);
CREATE INDEX address_history_user_idx ON radial.address_history (username, at);
CREATE INDEX address_history_mac_idx ON radial.address_history (mac, at);

-- Catches what no month has: no insert ever fails for want of one.
CREATE TABLE radial.address_history_default PARTITION OF radial.address_history DEFAULT;

CREATE VIEW radial.history_months AS
SELECT c.relname::text AS name, m.first, (m.first AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC' AS next
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
CROSS JOIN LATERAL (SELECT make_timestamptz(substr(c.relname, 17, 4)::int, substr(c.relname, 22, 2)::int, 1, 0, 0, 0, 'UTC') AS first) m
WHERE i.inhparent = 'radial.address_history'::regclass AND c.relname ~ '^address_history_\d{4}_\d{2}$';

-- +goose StatementBegin
-- Makes the partition of the month that a time lies in, and moves the rows of that month out of the default one; false
-- where it is there. Who inserts into other months is never kept waiting (ATTACH lets the parent be; CREATE … PARTITION
-- OF does not); who inserts into this one waits for the end of it alone: most rows are moved before the lock.
-- Runs as its owner: a server's role need not own the tables.
CREATE FUNCTION radial.make_history_partition(month timestamptz) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET TimeZone = 'UTC' SET lock_timeout = '2s' AS $$
DECLARE
    first timestamptz := date_trunc('month', month);
    next  timestamptz := date_trunc('month', month) + interval '1 month';
    part  text := 'address_history_' || to_char(month, 'YYYY_MM');
    move  text := format('WITH moved AS (DELETE FROM radial.address_history_default WHERE at >= %L AND at < %L RETURNING *)
                          INSERT INTO radial.%I SELECT * FROM moved', first, next, part);
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('radial:history', 0));
    IF to_regclass('radial.' || part) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- the constraint saves ATTACH the look at every row
    EXECUTE format('CREATE TABLE radial.%I (LIKE radial.address_history INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES,
                    CONSTRAINT its_month CHECK (at >= %L AND at < %L))', part, first, next);
    EXECUTE move;
    LOCK TABLE radial.address_history_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE move;
    EXECUTE format('ALTER TABLE radial.address_history ATTACH PARTITION radial.%I FOR VALUES FROM (%L) TO (%L)', part, first, next);
    EXECUTE format('ALTER TABLE radial.%I DROP CONSTRAINT its_month', part);
    RETURN true;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Drops the oldest month that ended by a time, and says its name; NULL where there is none. Dropping locks the whole
-- table for a moment, and waiting for that lock holds up whoever inserts: rather give up soon (55P03) and try again.
CREATE FUNCTION radial.drop_history_partition(ended timestamptz) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
    part text;
BEGIN
    IF NOT has_table_privilege(session_user, 'radial.address_history', 'DELETE') THEN
        RAISE insufficient_privilege USING MESSAGE = format('role %s may not delete from radial.address_history', session_user);
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('radial:history', 0));
    SELECT m.name INTO part FROM radial.history_months m WHERE m.next <= ended ORDER BY m.first LIMIT 1;
    IF part IS NOT NULL THEN
        EXECUTE format('DROP TABLE radial.%I', part);
    END IF;
    RETURN part;
END $$;
-- +goose StatementEnd

SELECT radial.make_history_partition(m.month)
FROM (SELECT date_trunc('month', at, 'UTC') AS month FROM radial.address_history_before
      UNION
      SELECT date_trunc('month', now(), 'UTC') + n * interval '32 days' FROM generate_series(0, 2) n) m;
INSERT INTO radial.address_history (id, at, vrf_id, address, pool_id, action, username, mac, nas, port, session_id, radacctid, reason)
    OVERRIDING SYSTEM VALUE
SELECT id, at, vrf_id, address, pool_id, action, username, mac, nas, port, session_id, radacctid, reason FROM radial.address_history_before;
SELECT setval(pg_get_serial_sequence('radial.address_history', 'id'), coalesce(max(id), 1), max(id) IS NOT NULL) FROM radial.address_history;
DROP TABLE radial.address_history_before;

-- The lengths of prefixes that pools have leased ever: an IPv6 address is looked for in these. Pools go, history stays.
CREATE TABLE radial.prefix_lengths (length smallint PRIMARY KEY);
INSERT INTO radial.prefix_lengths SELECT 64 UNION SELECT 128 UNION SELECT prefix_length FROM radial.pools WHERE kind <> 'ipv4';

-- +goose StatementBegin
CREATE FUNCTION radial.note_prefix_length() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO radial.prefix_lengths VALUES (NEW.prefix_length) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER pools_prefix_length AFTER INSERT OR UPDATE OF prefix_length ON radial.pools
    FOR EACH ROW WHEN (NEW.kind <> 'ipv4') EXECUTE FUNCTION radial.note_prefix_length();
