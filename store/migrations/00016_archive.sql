-- Sessions that ended long ago stand apart, so that radacct stays as small as what FreeRADIUS, panels and the next packet
-- want of it. Rows are moved as they are, with their radacctid, in batches (store/archive.go).

-- +goose Up
-- FreeRADIUS's columns, and what others have added to radacct. By months of UTC of the start: what a user had, and who was
-- on at a time, are walks along few partitions. acctuniqueid is unique in radacct alone: a NAS that begins its ids anew
-- after months makes a second row of it here.
CREATE TABLE radial.radacct_archive (
    radacctid           bigint NOT NULL,
    acctsessionid       text NOT NULL,
    acctuniqueid        text NOT NULL,
    username            text,
    realm               text,
    nasipaddress        inet NOT NULL,
    nasportid           text,
    nasporttype         text,
    acctstarttime       timestamptz NOT NULL,
    acctupdatetime      timestamptz,
    acctstoptime        timestamptz NOT NULL,
    acctinterval        bigint,
    acctsessiontime     bigint,
    acctauthentic       text,
    connectinfo_start   text,
    connectinfo_stop    text,
    acctinputoctets     bigint,
    acctoutputoctets    bigint,
    calledstationid     text,
    callingstationid    text,
    acctterminatecause  text,
    servicetype         text,
    framedprotocol      text,
    framedipaddress     inet,
    framedipv6address   inet,
    framedipv6prefix    inet,
    framedinterfaceid   text,
    delegatedipv6prefix inet,
    class               text,
    extra               jsonb   -- columns that are not FreeRADIUS's, by their names
) PARTITION BY RANGE (acctstarttime);
CREATE INDEX radacct_archive_user_idx ON radial.radacct_archive (username, acctstarttime);
CREATE INDEX radacct_archive_start_idx ON radial.radacct_archive (acctstarttime);
CREATE INDEX radacct_archive_unique_idx ON radial.radacct_archive (acctuniqueid);
CREATE INDEX radacct_archive_id_idx ON radial.radacct_archive (radacctid);

-- What a NAS without a clock began in 1970. There is no default partition: with one, no walk along the months ends early.
CREATE TABLE radial.radacct_archive_before PARTITION OF radial.radacct_archive FOR VALUES FROM (MINVALUE) TO ('2000-01-01 00:00Z');

-- The newest end of what a month has: what ended later than all of these is not in the archive, and a month whose
-- last session is not old enough is not dropped.
CREATE TABLE radial.archive_ends (
    month  timestamptz PRIMARY KEY,
    newest timestamptz NOT NULL
);

CREATE VIEW radial.archive_months AS
SELECT c.relname::text AS name, m.first, (m.first AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC' AS next
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
CROSS JOIN LATERAL (SELECT make_timestamptz(substr(c.relname, 17, 4)::int, substr(c.relname, 22, 2)::int, 1, 0, 0, 0, 'UTC') AS first) m
WHERE i.inhparent = 'radial.radacct_archive'::regclass AND c.relname ~ '^radacct_archive_\d{4}_\d{2}$';

-- +goose StatementBegin
-- Makes the partition of the month that a time lies in; false where it is there. ATTACH lets readers and writers of other
-- months be. Runs as its owner: a server's role need not own the tables.
CREATE FUNCTION radial.make_archive_partition(month timestamptz) RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET TimeZone = 'UTC' SET lock_timeout = '2s' AS $$
DECLARE
    first timestamptz := date_trunc('month', month);
    next  timestamptz := date_trunc('month', month) + interval '1 month';
    part  text := 'radacct_archive_' || to_char(month, 'YYYY_MM');
BEGIN
    IF NOT has_table_privilege(session_user, 'radial.radacct_archive', 'INSERT') THEN
        RAISE insufficient_privilege USING MESSAGE = format('role %s may not insert into radial.radacct_archive', session_user);
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('radial:archive', 0));
    IF first < '2000-01-01' OR first > '9999-01-01' OR to_regclass('radial.' || part) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE radial.%I (LIKE radial.radacct_archive INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)', part);
    EXECUTE format('ALTER TABLE radial.radacct_archive ATTACH PARTITION radial.%I FOR VALUES FROM (%L) TO (%L)', part, first, next);
    RETURN true;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
-- Drops the oldest month that was over by a time, with all of its sessions, and says its name; NULL where there is none.
-- Rather give up soon (55P03) and try again than hold up who reads.
CREATE FUNCTION radial.drop_archive_partition(ended timestamptz) RETURNS text LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
    part record;
BEGIN
    IF NOT has_table_privilege(session_user, 'radial.radacct_archive', 'DELETE') THEN
        RAISE insufficient_privilege USING MESSAGE = format('role %s may not delete from radial.radacct_archive', session_user);
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('radial:archive', 0));
    SELECT m.name, m.first INTO part FROM radial.archive_months m LEFT JOIN radial.archive_ends e ON e.month = m.first
    WHERE m.next <= ended AND (e.newest IS NULL OR e.newest < ended) ORDER BY m.first LIMIT 1;
    IF part.name IS NULL THEN
        RETURN NULL;
    END IF;
    EXECUTE format('LOCK TABLE radial.%I IN ACCESS EXCLUSIVE MODE', part.name);
    IF EXISTS (SELECT FROM radial.archive_ends e WHERE e.month = part.first AND e.newest >= ended) THEN
        RETURN NULL; -- a younger one has come just now
    END IF;
    EXECUTE format('DROP TABLE radial.%I', part.name);
    RETURN part.name;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
-- The rows of radacct. Every statement has the text of this function put in its place, and its indexes serve; but unlike a
-- view a function does not hold radacct's columns fast: FreeRADIUS's and panels' scripts alter them as ever.
DO $$
BEGIN
    EXECUTE format($sql$
CREATE FUNCTION radial.radacct_rows() RETURNS TABLE (radacctid bigint, acctsessionid text, acctuniqueid text, username text, realm text, nasipaddress inet,
    nasportid text, nasporttype text, acctstarttime timestamptz, acctupdatetime timestamptz, acctstoptime timestamptz, acctinterval bigint,
    acctsessiontime bigint, acctauthentic text, connectinfo_start text, connectinfo_stop text, acctinputoctets bigint, acctoutputoctets bigint,
    calledstationid text, callingstationid text, acctterminatecause text, servicetype text, framedprotocol text, framedipaddress inet,
    framedipv6address inet, framedipv6prefix inet, framedinterfaceid text, delegatedipv6prefix inet, class text)
LANGUAGE sql STABLE ROWS 1000000 AS $f$
    SELECT r.radacctid::bigint, r.acctsessionid::text, r.acctuniqueid::text, r.username::text, r.realm::text, r.nasipaddress::inet,
        r.nasportid::text, r.nasporttype::text, r.acctstarttime::timestamptz, r.acctupdatetime::timestamptz, r.acctstoptime::timestamptz, r.acctinterval::bigint,
        r.acctsessiontime::bigint, r.acctauthentic::text, r.connectinfo_start::text, r.connectinfo_stop::text, r.acctinputoctets::bigint, r.acctoutputoctets::bigint,
        r.calledstationid::text, r.callingstationid::text, r.acctterminatecause::text, r.servicetype::text, r.framedprotocol::text, r.framedipaddress::inet,
        r.framedipv6address::inet, r.framedipv6prefix::inet, r.framedinterfaceid::text, r.delegatedipv6prefix::inet, r.class::text
    FROM %s r $f$ $sql$, (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = 'radacct'::regclass));
END $$;
-- +goose StatementEnd

-- All sessions, each once, as radacct has them. Who reads it must be allowed to read radacct.
CREATE VIEW radial.radacct_all AS
SELECT * FROM radial.radacct_rows()
UNION ALL
SELECT radacctid, acctsessionid, acctuniqueid, username, realm, nasipaddress, nasportid, nasporttype, acctstarttime, acctupdatetime,
    acctstoptime, acctinterval, acctsessiontime, acctauthentic, connectinfo_start, connectinfo_stop, acctinputoctets, acctoutputoctets,
    calledstationid, callingstationid, acctterminatecause, servicetype, framedprotocol, framedipaddress, framedipv6address, framedipv6prefix,
    framedinterfaceid, delegatedipv6prefix, class
FROM radial.radacct_archive;
