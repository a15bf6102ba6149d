-- The mirror of radial.addresses in sqlippool's table radippool, for a FreeRADIUS that is put back. Off by default: then there
-- is no trigger, and nothing of this costs anything. radial.set_mirror makes the triggers and drops them again; their arguments
-- (pool key, escaping, time zone) are the mirror's settings. From then on every change of radial.addresses changes radippool in
-- its own transaction, whoever makes it.
--
-- What is mirrored: IPv4 pools of the default VRF (sqlippool knows no other, and finds its rows by the address alone).
-- A radippool row of an address that is
--   bound     expires in seven days, written again when less than half of that is left (with the lease, else by an hourly
--             job): FreeRADIUS must not give it to another before the session's next interim has reached it
--   offered, cooling  expires when that ends
--   free      has expired. The last holder stays in it; one that nobody has had yet has expired in 1970, so that
--             FreeRADIUS (the oldest first) gives these before anybody's last address
--   reserved, or free in a pool or subnet that gives nothing at the moment: there is no row, which FreeRADIUS can never give
-- A pool of ours owns its name in radippool; rows of other pool_names are left alone.

-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION radial.escape_text(t text, raw boolean) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
-- As rlm_sql does it; store/escape.go is the same with all its corners.
BEGIN
    IF t IS NULL OR raw OR t ~ '^[-@a-zA-Z0-9._: /]*$' THEN
        RETURN coalesce(t, '');
    END IF;
    RETURN (SELECT string_agg(CASE
            WHEN c = E'\n' THEN '\n' WHEN c = E'\r' THEN '\r' WHEN c = E'\t' THEN '\t'
            WHEN ascii(c) > 127 OR c ~ '[-@a-zA-Z0-9._: /]' THEN c
            ELSE '=' || upper(lpad(to_hex(ascii(c)), 2, '0')) END, '' ORDER BY n)
        FROM regexp_split_to_table(t, '') WITH ORDINALITY s(c, n));
END $$;

CREATE FUNCTION radial.escape_user(t text, raw boolean) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
-- SQL-User-Name: printed as the inside of a quoted string, then escaped.
BEGIN
    IF t ~ '["\\[:cntrl:]]' THEN
        t := (SELECT string_agg(CASE
                WHEN c IN ('"', '\') THEN '\' || c
                WHEN c = E'\n' THEN '\n' WHEN c = E'\r' THEN '\r' WHEN c = E'\t' THEN '\t'
                WHEN ascii(c) < 32 OR ascii(c) = 127 THEN '\' || (ascii(c) >> 6)::text || (ascii(c) >> 3 & 7)::text || (ascii(c) & 7)::text
                ELSE c END, '' ORDER BY n)
            FROM regexp_split_to_table(t, '') WITH ORDINALITY s(c, n));
    END IF;
    RETURN radial.escape_text(t, raw);
END $$;

CREATE FUNCTION radial.calling_station(mac text, kept text, raw boolean) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
-- What a NAS most likely sends for a caller's MAC, which we keep normalised: what it has sent before, if that is the same one;
-- else the form of MikroTik and most others.
SELECT CASE
    WHEN mac IS NULL OR mac = '' THEN ''
    WHEN mac !~ '^([0-9a-f]{2}:){5}[0-9a-f]{2}$' THEN radial.escape_text(mac, raw)
    WHEN right(lower(regexp_replace(kept, '[^0-9A-Fa-f]', '', 'g')), 12) = replace(mac, ':', '') THEN kept
    ELSE upper(mac) END
$$;

-- Makes radippool true for these addresses of the default VRF, whose rows (if there are any) the caller has locked or changed.
CREATE FUNCTION radial.mirror_write(hosts inet[], pool_key text, raw boolean, zone text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    clock  timestamp(0) := now() AT TIME ZONE zone;   -- what 'now'::timestamp(0) is to FreeRADIUS
    future timestamp(0) := clock + interval '7 days';
BEGIN
    WITH held AS MATERIALIZED (
        SELECT a.address, p.name AS pool_name, a.state, a.since, r.id, r.expiry_time AS expired, r.nasipaddress AS old_nas, r.pool_key AS old_key,
               r.callingstationid AS old_station, r.username AS old_user,
               a.state IN ('bound', 'offered', 'cooling') OR a.state = 'free' AND p.status = 'active' AND s.status = 'active' AS wanted,
               CASE WHEN a.state IN ('offered', 'cooling') THEN (a.until AT TIME ZONE zone)::timestamp(0) END AS ends,
               CASE WHEN family(a.nas) = 4 THEN host(a.nas) ELSE '' END AS nas,
               coalesce(nullif(c.callingstationid, ''), radial.calling_station(a.mac, r.callingstationid, raw)) AS station,
               radial.escape_user(a.username, raw) AS username, radial.escape_text(a.port, raw) AS port
        FROM unnest(hosts) AS h (address)
        -- OFFSET 0: one look-up for each address, never a join the other way round
        CROSS JOIN LATERAL (SELECT * FROM radial.addresses x WHERE x.vrf_id = 1 AND x.address = h.address OFFSET 0) a
        CROSS JOIN LATERAL (SELECT x.name, x.status FROM radial.pools x WHERE x.id = a.pool_id AND x.kind = 'ipv4' OFFSET 0) p
        CROSS JOIN LATERAL (SELECT x.status FROM radial.subnets x WHERE x.id = a.subnet_id OFFSET 0) s
        LEFT JOIN LATERAL (SELECT * FROM radippool o WHERE o.framedipaddress = a.address AND o.pool_name = p.name OFFSET 0) r ON true
        LEFT JOIN LATERAL (SELECT x.callingstationid FROM radacct x WHERE x.radacctid = a.radacctid AND a.state = 'bound' OFFSET 0) c ON true
    ), want AS MATERIALIZED (
        SELECT h.*, CASE mirror_write.pool_key WHEN 'nas-port' THEN port WHEN 'user-name' THEN username ELSE station END AS key,
               CASE WHEN state = 'bound' THEN CASE WHEN expired > clock + (future - clock) / 2 THEN expired ELSE future END
                    WHEN ends IS NOT NULL THEN ends
                    WHEN expired <= clock THEN expired
                    WHEN id IS NOT NULL THEN clock - interval '1 second'
                    WHEN since IS NULL THEN '1970-01-01'
                    ELSE least((since AT TIME ZONE zone)::timestamp(0), clock - interval '1 second') END AS expiry
        FROM held h
    ), gone AS (
        DELETE FROM radippool r USING want w WHERE r.id = w.id AND NOT w.wanted
    ), made AS (
        INSERT INTO radippool (pool_name, framedipaddress, nasipaddress, pool_key, callingstationid, expiry_time, username)
        SELECT w.pool_name, w.address, w.nas, w.key, w.station, w.expiry, w.username FROM want w WHERE w.wanted AND w.id IS NULL
    )
    UPDATE radippool r
    SET nasipaddress = w.nas, pool_key = w.key, callingstationid = w.station, username = w.username, expiry_time = w.expiry
    FROM want w
    WHERE r.id = w.id AND w.wanted
      AND (w.expired <> w.expiry OR w.old_nas <> w.nas OR w.old_key <> w.key OR w.old_station <> w.station OR w.old_user IS DISTINCT FROM w.username);
END $$;

CREATE FUNCTION radial.mirror_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
-- TG_ARGV: pool key, whether text is raw, time zone. Of addresses: transition tables newrows or oldrows.
BEGIN
    IF to_regclass('radippool') IS NULL THEN
        RETURN NULL; -- somebody dropped it: no reason to refuse logins
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM radippool r USING oldrows o
        WHERE o.vrf_id = 1 AND r.framedipaddress = o.address AND r.pool_name IN (SELECT p.name FROM radial.pools p WHERE p.vrf_id = 1);
    ELSE
        PERFORM radial.mirror_write(array(SELECT n.address FROM newrows n WHERE n.vrf_id = 1 AND family(n.address) = 4), TG_ARGV[0], TG_ARGV[1]::boolean, TG_ARGV[2]);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION radial.mirror_pools_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
-- Of pools: another name or status; a pool that is gone.
BEGIN
    IF TG_OP = 'DELETE' THEN
        DELETE FROM radippool r USING oldrows o WHERE o.vrf_id = 1 AND o.kind = 'ipv4' AND r.pool_name = o.name;
        RETURN NULL;
    END IF;
    UPDATE radippool r SET pool_name = n.name
    FROM newrows n JOIN oldrows o ON o.id = n.id AND o.name <> n.name
    WHERE n.vrf_id = 1 AND n.kind = 'ipv4' AND r.pool_name = o.name;
    PERFORM radial.mirror_write(array(
        SELECT a.address FROM newrows n JOIN oldrows o ON o.id = n.id AND o.status <> n.status
        JOIN radial.subnets s ON s.pool_id = n.id
        JOIN radial.addresses a ON a.vrf_id = 1 AND a.address BETWEEN s.first AND s.last AND a.pool_id = n.id
        WHERE n.vrf_id = 1 AND n.kind = 'ipv4'), TG_ARGV[0], TG_ARGV[1]::boolean, TG_ARGV[2]);
    RETURN NULL;
END $$;

CREATE FUNCTION radial.mirror_subnets_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    PERFORM radial.mirror_write(array(
        SELECT a.address FROM newrows n JOIN oldrows o ON o.id = n.id AND o.status <> n.status
        JOIN radial.addresses a ON a.vrf_id = 1 AND a.address BETWEEN n.first AND n.last AND a.subnet_id = n.id
        WHERE n.vrf_id = 1), TG_ARGV[0], TG_ARGV[1]::boolean, TG_ARGV[2]);
    RETURN NULL;
END $$;

CREATE FUNCTION radial.database_zone() RETURNS text LANGUAGE plpgsql STABLE AS $$
-- The time zone that sessions of this database have unless their client asks for another: the one of FreeRADIUS's 'now'.
DECLARE
    found text;
    origin text;
BEGIN
    SELECT substr(c, length('timezone=') + 1) INTO found
    FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase, unnest(s.setconfig) AS c
    WHERE d.datname = current_database() AND s.setrole = 0 AND lower(c) LIKE 'timezone=%';
    IF found IS NULL THEN
        SELECT reset_val, source INTO found, origin FROM pg_settings WHERE name = 'TimeZone';
        IF origin = 'client' THEN
            RAISE EXCEPTION 'this connection asks for a time zone of its own (%): take it out of the database URL and of PGTZ, since the database''s own is the one that FreeRADIUS reckons in', found
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
    END IF;
    RETURN found;
END $$;

-- Turns the mirror on, with the pool key that sqlippool is configured with (calling-station-id, user-name or nas-port) and
-- whether text in FreeRADIUS's tables is raw; or off. Filling is another matter: radial.fill_mirror.
CREATE FUNCTION radial.set_mirror(turn_on boolean, pool_key text, raw boolean) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    args   text;
    lacks  text;
    reader text;
BEGIN
    DROP TRIGGER IF EXISTS mirror_insert ON radial.addresses;
    DROP TRIGGER IF EXISTS mirror_update ON radial.addresses;
    DROP TRIGGER IF EXISTS mirror_delete ON radial.addresses;
    DROP TRIGGER IF EXISTS mirror_update ON radial.pools;
    DROP TRIGGER IF EXISTS mirror_delete ON radial.pools;
    DROP TRIGGER IF EXISTS mirror_update ON radial.subnets;
    IF NOT turn_on THEN
        RETURN;
    END IF;
    IF pool_key NOT IN ('calling-station-id', 'user-name', 'nas-port') THEN
        RAISE EXCEPTION 'pool key %: want calling-station-id, user-name or nas-port', pool_key USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF to_regclass('radippool') IS NULL THEN
        CREATE TABLE radippool (
            id               bigserial PRIMARY KEY,
            pool_name        text NOT NULL,
            framedipaddress  inet NOT NULL,
            nasipaddress     text NOT NULL DEFAULT '',
            pool_key         text NOT NULL DEFAULT '',
            calledstationid  text NOT NULL DEFAULT '',
            callingstationid text NOT NULL DEFAULT '',
            expiry_time      timestamp(0) without time zone NOT NULL DEFAULT now(),
            username         text DEFAULT ''
        );
        CREATE INDEX radippool_poolname_expire ON radippool (pool_name, expiry_time);
        CREATE INDEX radippool_framedipaddress ON radippool (framedipaddress);
        CREATE INDEX radippool_nasip_poolkey_ipaddress ON radippool (nasipaddress, pool_key, framedipaddress);
        -- who does the accounting may lease
        FOR reader IN SELECT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END
                      FROM pg_class c, aclexplode(c.relacl) g WHERE c.oid = 'radacct'::regclass AND g.privilege_type = 'UPDATE'
                      UNION SELECT quote_ident(pg_get_userbyid(c.relowner)) FROM pg_class c WHERE c.oid = 'radacct'::regclass LOOP
            EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON radippool TO %s', reader);
            EXECUTE format('GRANT USAGE ON SEQUENCE radippool_id_seq TO %s', reader);
        END LOOP;
    END IF;
    SELECT string_agg(v, ', ') INTO lacks FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) v WHERE NOT has_table_privilege('radippool', v);
    IF lacks IS NOT NULL THEN
        RAISE EXCEPTION 'role % may not % in radippool: its owner runs GRANT SELECT, INSERT, UPDATE, DELETE ON radippool TO %; GRANT USAGE ON SEQUENCE radippool_id_seq TO %;',
            current_user, lower(lacks), quote_ident(current_user), quote_ident(current_user) USING ERRCODE = 'insufficient_privilege';
    END IF;
    args := format('(%L, %L, %L)', pool_key, raw, radial.database_zone());
    EXECUTE 'CREATE TRIGGER mirror_insert AFTER INSERT ON radial.addresses REFERENCING NEW TABLE AS newrows FOR EACH STATEMENT EXECUTE FUNCTION radial.mirror_changed' || args;
    EXECUTE 'CREATE TRIGGER mirror_update AFTER UPDATE ON radial.addresses REFERENCING NEW TABLE AS newrows FOR EACH STATEMENT EXECUTE FUNCTION radial.mirror_changed' || args;
    EXECUTE 'CREATE TRIGGER mirror_delete AFTER DELETE ON radial.addresses REFERENCING OLD TABLE AS oldrows FOR EACH STATEMENT EXECUTE FUNCTION radial.mirror_changed' || args;
    EXECUTE 'CREATE TRIGGER mirror_update AFTER UPDATE ON radial.pools REFERENCING OLD TABLE AS oldrows NEW TABLE AS newrows FOR EACH STATEMENT EXECUTE FUNCTION radial.mirror_pools_changed' || args;
    EXECUTE 'CREATE TRIGGER mirror_delete AFTER DELETE ON radial.pools REFERENCING OLD TABLE AS oldrows FOR EACH STATEMENT EXECUTE FUNCTION radial.mirror_pools_changed' || args;
    EXECUTE 'CREATE TRIGGER mirror_update AFTER UPDATE ON radial.subnets REFERENCING OLD TABLE AS oldrows NEW TABLE AS newrows FOR EACH STATEMENT EXECUTE FUNCTION radial.mirror_subnets_changed' || args;
END $$;

CREATE FUNCTION radial.mirror_settings(OUT pool_key text, OUT raw boolean, OUT zone text) RETURNS SETOF record LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
-- The mirror's settings: one row while it is on.
SELECT a[1], a[2]::boolean, a[3]
FROM (SELECT string_to_array(encode(tgargs, 'escape'), '\000') FROM pg_trigger
      WHERE tgrelid = 'radial.addresses'::regclass AND tgname = 'mirror_update' AND NOT tgisinternal) t (a)
$$;

-- Makes radippool true for the next addresses after one (NULL: from the first), and returns the last of them, or NULL when
-- there are no more. In their transaction nobody else changes them.
CREATE FUNCTION radial.fill_mirror(after inet, many integer) RETURNS inet LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    hosts inet[];
    m     record;
BEGIN
    SELECT * INTO STRICT m FROM radial.mirror_settings();
    hosts := array(SELECT a.address FROM radial.addresses a
        WHERE a.vrf_id = 1 AND a.address > coalesce(after, '0.0.0.0'::inet) AND a.address < '::'::inet
        ORDER BY a.vrf_id, a.address LIMIT many FOR NO KEY UPDATE);
    -- of an address that stands twice in a pool, the row that expires last is kept
    DELETE FROM radippool r WHERE r.framedipaddress = ANY (hosts) AND EXISTS (
        SELECT FROM radippool o WHERE o.framedipaddress = r.framedipaddress AND o.pool_name = r.pool_name AND (o.expiry_time, o.id) > (r.expiry_time, r.id));
    PERFORM radial.mirror_write(hosts, m.pool_key, m.raw, m.zone);
    RETURN hosts[cardinality(hosts)];
END $$;

CREATE FUNCTION radial.refresh_mirror(many integer) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
-- Writes again what bound addresses expire too soon in radippool: those of sessions without interims. Returns how many.
DECLARE
    hosts inet[];
    m     record;
BEGIN
    SELECT * INTO m FROM radial.mirror_settings();
    IF NOT FOUND OR to_regclass('radippool') IS NULL THEN
        RETURN 0;
    END IF;
    hosts := array(SELECT a.address
        FROM radial.pools p
        CROSS JOIN LATERAL (SELECT r.framedipaddress FROM radippool r
            WHERE r.pool_name = p.name AND r.expiry_time BETWEEN (now() AT TIME ZONE m.zone) - interval '7 days' AND (now() AT TIME ZONE m.zone) + interval '3 days 12 hours') r
        JOIN radial.addresses a ON a.vrf_id = 1 AND a.address = r.framedipaddress AND a.pool_id = p.id
        WHERE p.vrf_id = 1 AND p.kind = 'ipv4' AND a.state = 'bound'
        ORDER BY a.vrf_id, a.address LIMIT many FOR NO KEY UPDATE OF a);
    PERFORM radial.mirror_write(hosts, m.pool_key, m.raw, m.zone);
    RETURN cardinality(hosts);
END $$;

CREATE FUNCTION radial.sweep_mirror() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
-- Deletes the rows of our pools' names that stand for no address of ours: FreeRADIUS would give them.
DECLARE
    n bigint;
BEGIN
    DELETE FROM radippool r WHERE r.pool_name IN (SELECT p.name FROM radial.pools p WHERE p.vrf_id = 1 AND p.kind = 'ipv4') AND NOT EXISTS (
        SELECT FROM radial.addresses a JOIN radial.pools p ON p.id = a.pool_id WHERE a.vrf_id = 1 AND a.address = r.framedipaddress AND p.name = r.pool_name);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;

-- Tables of FreeRADIUS's are found where they stand, never in pg_temp; one plan serves, by the indexes.
DO $$
DECLARE
    home text := current_setting('search_path');
    f    text;
BEGIN
    FOREACH f IN ARRAY ARRAY['mirror_write(inet[], text, boolean, text)', 'mirror_changed()', 'mirror_pools_changed()', 'mirror_subnets_changed()',
                             'set_mirror(boolean, text, boolean)', 'fill_mirror(inet, integer)', 'refresh_mirror(integer)', 'sweep_mirror()'] LOOP
        EXECUTE format('ALTER FUNCTION radial.%s SET search_path = %s, pg_temp', f, home);
    END LOOP;
    ALTER FUNCTION radial.mirror_write(inet[], text, boolean, text) SET plan_cache_mode = force_generic_plan;
    ALTER FUNCTION radial.mirror_write(inet[], text, boolean, text) SET enable_hashjoin = off;
    ALTER FUNCTION radial.mirror_write(inet[], text, boolean, text) SET enable_mergejoin = off;
    ALTER FUNCTION radial.mirror_write(inet[], text, boolean, text) SET enable_seqscan = off;
END $$;
-- +goose StatementEnd
