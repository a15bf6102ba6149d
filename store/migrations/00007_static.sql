-- Static addresses: what a row of radreply gives one user for himself (Framed-IP-Address, Framed-IPv6-Address,
-- Framed-IPv6-Prefix, Delegated-IPv6-Prefix), whoever wrote it. Statement triggers keep a list of them and, when their
-- transaction commits, reserve the rows of radial.addresses, so that no pool gives them. They never make the writer's statement fail: what is no address is
-- no static address, and what could not be done at once (a row is locked, somebody has the address) is done by
-- store.DB.ReserveStaticIPs within a minute or when the address comes back.
-- A static address is kept back in every VRF that has a pool with it: which one the user is in, his NAS decides.

-- +goose Up
CREATE TABLE radial.static_addresses (
    reply_id bigint PRIMARY KEY,   -- radreply.id; no foreign key: the table is FreeRADIUS's
    username text NOT NULL,        -- raw
    address  inet NOT NULL         -- a host, or a prefix
);
-- What a transaction has changed of the list, until its end.
CREATE TABLE radial.static_pending (
    xact      xid8 NOT NULL DEFAULT pg_current_xact_id(),
    addresses inet[] NOT NULL
);
CREATE INDEX static_addresses_address_idx ON radial.static_addresses (address);
CREATE INDEX static_addresses_network_idx ON radial.static_addresses USING gist (address inet_ops);

-- No column that was not in an index or its condition before: leases stay as cheap as they were.
CREATE INDEX addresses_kept_idx ON radial.addresses (vrf_id, address) WHERE state = 'reserved';
CREATE INDEX subscribers_static_ip_idx ON radial.subscribers (static_ip) WHERE static_ip IS NOT NULL;

-- +goose StatementBegin
-- The last address of a network, as inet sorts: x <<= n is x BETWEEN n AND last_of(n), which a btree answers quickly.
CREATE FUNCTION radial.last_of(network inet) RETURNS inet LANGUAGE sql IMMUTABLE AS
$$ SELECT set_masklen(broadcast(network), CASE family(network) WHEN 4 THEN 32 ELSE 128 END) $$;

-- Whether rows of an attribute can be static addresses; names are compared as FreeRADIUS does.
CREATE FUNCTION radial.is_static(attribute text) RETURNS boolean LANGUAGE sql IMMUTABLE AS
$$ SELECT lower(attribute) IN ('framed-ip-address', 'framed-ipv6-address', 'framed-ipv6-prefix', 'delegated-ipv6-prefix') $$;

-- The address that a row of radreply gives, or NULL: it removes or compares, has an expansion, or is none.
CREATE FUNCTION radial.static_address(attribute text, op text, value text) RETURNS inet LANGUAGE plpgsql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    v text := btrim(value);
    a inet;
BEGIN
    IF btrim(op) NOT IN ('=', ':=', '+=', '^=') OR v IS NULL OR length(v) > 60 THEN
        RETURN NULL;
    END IF;
    IF lower(attribute) = 'framed-ip-address' THEN
        IF v ~ '^((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(/32)?$' THEN
            RETURN v::inet;
        END IF;
        RETURN NULL;
    END IF;
    IF v !~ '^[0-9A-Fa-f.]*:[0-9A-Fa-f:.]+(/[0-9]{1,3})?$' THEN
        RETURN NULL;
    END IF;
    BEGIN
        a := v::inet;
    EXCEPTION WHEN OTHERS THEN
        RETURN NULL;
    END;
    IF lower(attribute) <> 'framed-ipv6-address' THEN
        RETURN network(a)::inet;
    ELSIF masklen(a) = 128 THEN
        RETURN a;
    END IF;
    RETURN NULL;
END $$;

-- A user name as it is, of one as FreeRADIUS writes it: =HH, and a backslash before a quote or another one.
CREATE FUNCTION radial.raw_name(stored text) RETURNS text LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    bytes bytea;
    i     integer := 1;
    hex   text;
BEGIN
    IF strpos(stored, '=') = 0 AND strpos(stored, '\') = 0 OR EXISTS (SELECT FROM radial.settings WHERE key = 'escaping' AND value = 'raw') THEN
        RETURN stored;
    END IF;
    bytes := '';
    WHILE i <= length(stored) LOOP
        hex := substring(substr(stored, i, 3) FROM '^=([0-9A-F]{2})$');
        bytes := bytes || coalesce(decode(hex, 'hex'), convert_to(substr(stored, i, 1), 'UTF8'));
        i := i + CASE WHEN hex IS NULL THEN 1 ELSE 3 END;
    END LOOP;
    RETURN regexp_replace(convert_from(bytes, 'UTF8'), '\\(["\\])', '\1', 'g');
EXCEPTION WHEN OTHERS THEN -- bytes that are no text
    RETURN stored;
END $$;

-- The rows of radial.addresses, there or not, that stand for static addresses: the address itself, or the lease of a
-- pool of prefixes that it lies in. A prefix that holds many leases has none: it is to be excluded from the pool.
CREATE FUNCTION radial.static_rows(statics inet[]) RETURNS TABLE (vrf_id integer, address inet, pool_id bigint, subnet_id bigint, kind text)
LANGUAGE plpgsql STABLE ROWS 10 SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT DISTINCT ON (n.vrf_id, u.address) n.vrf_id, u.address, n.pool_id, n.id, p.kind
    FROM (SELECT DISTINCT s FROM unnest(statics) u (s)) w
    JOIN radial.subnets n ON n.network >>= w.s
    JOIN radial.pools p ON p.id = n.pool_id AND p.prefix_length <= masklen(w.s)
    CROSS JOIN LATERAL (SELECT network(set_masklen(w.s, p.prefix_length))::inet AS address) u
    WHERE host(u.address)::inet BETWEEN n.first AND n.last
      -- what a pool of IPv6 never gives has no row to be reserved, as in IPv4; see sqlSparseAllowed
      AND (p.kind = 'ipv4' OR host(broadcast(u.address))::inet <= n.last AND (n.gateway <<= u.address) IS NOT TRUE
           AND NOT (p.prefix_length = 128 AND masklen(n.network) < 127 AND host(u.address) = host(n.network))
           AND NOT EXISTS (SELECT FROM radial.exclusions x
               WHERE x.subnet_id = n.id AND x.first <= host(broadcast(u.address))::inet AND x.last >= host(u.address)::inet))
    ORDER BY n.vrf_id, u.address, n.overlap, n.id;
END $$;

-- The open session that a user has a lease in; no row: none. He may lose an address that he owns while he is online: his
-- session goes on with it, so that nobody else may get it.
CREATE FUNCTION radial.open_session_of(vrf integer, lease inet, holder text, OUT radacctid bigint, OUT nas inet, OUT session_id text) RETURNS SETOF record
LANGUAGE plpgsql STABLE ROWS 1 SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    kept text := radial.escape_user(holder, EXISTS (SELECT FROM radial.settings WHERE key = 'escaping' AND value = 'raw'));
BEGIN
    RETURN QUERY
    SELECT r.radacctid, host(r.nasipaddress)::inet, radial.raw_name(r.acctsessionid::text) FROM radacct r
    WHERE r.acctstoptime IS NULL AND r.username = kept
      AND (host(r.framedipaddress)::inet = lease OR r.framedipv6address <<= lease OR r.framedipv6prefix && lease OR r.delegatedipv6prefix && lease)
      AND vrf = coalesce((SELECT s.vrf_id FROM nas n JOIN radial.nas_settings s ON s.nas_id = n.id
                          WHERE n.nasname = host(r.nasipaddress) ORDER BY n.id LIMIT 1), 1)
    ORDER BY r.radacctid DESC LIMIT 1;
END $$;

-- FreeRADIUS's tables are found where they stand, never in pg_temp.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION radial.open_session_of(integer, inet, text) SET search_path = %s, pg_temp', current_setting('search_path'));
END $$;

-- Makes the rows of some addresses what the list of static ones says: reserved, or given back. Rows that somebody else
-- holds, and those that an operator reserved, stay. Rows are locked in the order in which all lock addresses. They are looked
-- up one by one, whatever the planner knows of the tables: never by a scan of all addresses.
CREATE FUNCTION radial.settle_static(statics inet[], OUT reserved bigint, OUT unreserved bigint) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    made bigint;
BEGIN
    -- new rows will hold their pools and subnets: who takes addresses out of these has them before the addresses
    PERFORM FROM radial.static_rows(statics) r JOIN radial.pools p ON p.id = r.pool_id JOIN radial.subnets n ON n.id = r.subnet_id
    WHERE r.kind <> 'ipv4' ORDER BY p.id, n.id FOR KEY SHARE OF p, n;

    PERFORM FROM radial.static_rows(statics) r JOIN radial.addresses a ON a.vrf_id = r.vrf_id AND a.address = r.address
    WHERE a.state IN ('free', 'cooling') OR a.state = 'reserved' AND a.reason = 'static' OR a.state = 'offered' AND a.until <= clock_timestamp()
       OR EXISTS (SELECT FROM radial.static_addresses s WHERE s.address BETWEEN a.address AND radial.last_of(a.address) AND s.username = a.username)
    ORDER BY a.vrf_id, a.address FOR UPDATE OF a;

    -- A session that has one goes on with it. Else it cools off for as long as a login that was answered with it may take to start.
    WITH gone AS (
        UPDATE radial.addresses a
        SET state = CASE WHEN r.radacctid IS NULL THEN 'cooling' ELSE 'bound' END, reason = NULL, radacctid = r.radacctid, nas = r.nas, session_id = r.session_id,
            since = clock_timestamp(),
            until = now() + CASE WHEN r.radacctid IS NULL THEN greatest(p.cooling_time, p.offer_time) ELSE p.lease_time END
        FROM (SELECT w.vrf_id, w.address, o.radacctid, o.nas, o.session_id
              FROM radial.static_rows(statics) w JOIN radial.addresses b ON b.vrf_id = w.vrf_id AND b.address = w.address
              LEFT JOIN LATERAL radial.open_session_of(b.vrf_id, b.address, b.username) o ON true
              WHERE b.state = 'reserved' AND b.reason = 'static') r, radial.pools p
        WHERE a.vrf_id = r.vrf_id AND a.address = r.address AND a.state = 'reserved' AND a.reason = 'static' AND p.id = a.pool_id
          AND NOT EXISTS (SELECT FROM radial.static_addresses s WHERE s.address BETWEEN a.address AND radial.last_of(a.address))
        RETURNING a.vrf_id, a.address, a.pool_id, a.username, a.nas, a.radacctid
    ), told AS (
        INSERT INTO radial.address_history (at, vrf_id, address, pool_id, action, username, nas, radacctid, reason, actor)
        SELECT clock_timestamp(), g.vrf_id, g.address, g.pool_id, t.action, g.username, CASE t.action WHEN 'bound' THEN g.nas END,
               CASE t.action WHEN 'bound' THEN g.radacctid END, CASE t.action WHEN 'bound' THEN 'its session goes on' ELSE 'static address' END, 'db:' || session_user
        FROM gone g JOIN (VALUES (1, 'unreserved'), (2, 'bound')) t (n, action) ON t.n = 1 OR g.radacctid IS NOT NULL
        ORDER BY t.n
    )
    SELECT count(*) INTO unreserved FROM gone;

    WITH want AS (
        SELECT r.*, s.username
        FROM radial.static_rows(statics) r
        LEFT JOIN radial.addresses a ON a.vrf_id = r.vrf_id AND a.address = r.address
        CROSS JOIN LATERAL (SELECT o.username FROM radial.static_addresses o WHERE o.address BETWEEN r.address AND radial.last_of(r.address)
                            ORDER BY o.username IS NOT DISTINCT FROM a.username DESC, o.reply_id LIMIT 1) s
    ), kept AS (
        UPDATE radial.addresses a
        SET state = 'reserved', reason = 'static', username = w.username, mac = NULL, nas = NULL, port = NULL, session_id = NULL,
            radacctid = NULL, until = NULL, since = clock_timestamp()
        FROM want w
        WHERE a.vrf_id = w.vrf_id AND a.address = w.address
          AND (a.state IN ('free', 'cooling') OR a.state = 'offered' AND a.until <= clock_timestamp()
               OR a.state IN ('offered', 'bound') AND a.username = w.username
               OR a.state = 'reserved' AND a.reason = 'static' AND a.username IS DISTINCT FROM w.username)
        RETURNING a.vrf_id, a.address, a.pool_id, a.username
    ), told AS (
        INSERT INTO radial.address_history (at, vrf_id, address, pool_id, action, username, reason, actor)
        SELECT clock_timestamp(), k.vrf_id, k.address, k.pool_id, 'reserved', k.username, 'static address', 'db:' || session_user FROM kept k
    )
    SELECT count(*) INTO reserved FROM kept;

    -- IPv6: rows are made when they are first needed
    WITH new AS (
        INSERT INTO radial.addresses (vrf_id, address, pool_id, subnet_id, state, username, since, reason)
        SELECT r.vrf_id, r.address, r.pool_id, r.subnet_id, 'reserved', s.username, clock_timestamp(), 'static'
        FROM radial.static_rows(statics) r
        CROSS JOIN LATERAL (SELECT o.username FROM radial.static_addresses o WHERE o.address BETWEEN r.address AND radial.last_of(r.address) ORDER BY o.reply_id LIMIT 1) s
        WHERE r.kind <> 'ipv4'
        ORDER BY r.vrf_id, r.address
        ON CONFLICT (vrf_id, address) DO NOTHING
        RETURNING vrf_id, address, pool_id, username
    ), told AS (
        INSERT INTO radial.address_history (at, vrf_id, address, pool_id, action, username, reason, actor)
        SELECT clock_timestamp(), n.vrf_id, n.address, n.pool_id, 'reserved', n.username, 'static address', 'db:' || session_user FROM new n
    )
    SELECT count(*) INTO made FROM new;
    reserved := reserved + made;
END $$;

-- Transition tables are named newrows and oldrows. Nearly all statements have no such row, and pay for a look at them.
CREATE FUNCTION radial.static_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    touched inet[] := '{}';
    come    inet[] := '{}';
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NOT EXISTS (SELECT FROM newrows WHERE radial.is_static(attribute::text)) THEN
            RETURN NULL;
        END IF;
    ELSIF TG_OP = 'DELETE' THEN
        IF NOT EXISTS (SELECT FROM oldrows WHERE radial.is_static(attribute::text)) THEN
            RETURN NULL;
        END IF;
    ELSIF TG_OP = 'UPDATE' THEN
        IF NOT EXISTS (SELECT FROM newrows WHERE radial.is_static(attribute::text)) AND NOT EXISTS (SELECT FROM oldrows WHERE radial.is_static(attribute::text)) THEN
            RETURN NULL;
        END IF;
    END IF;
    BEGIN
        IF TG_OP = 'TRUNCATE' THEN
            WITH d AS (DELETE FROM radial.static_addresses RETURNING address) SELECT coalesce(array_agg(d.address), '{}') INTO touched FROM d;
        ELSIF TG_OP <> 'INSERT' THEN
            WITH d AS (
                DELETE FROM radial.static_addresses s USING oldrows o WHERE s.reply_id = o.id AND radial.is_static(o.attribute::text) RETURNING s.address
            )
            SELECT coalesce(array_agg(d.address), '{}') INTO touched FROM d;
        END IF;
        IF TG_OP IN ('INSERT', 'UPDATE') THEN
            WITH i AS (
                INSERT INTO radial.static_addresses (reply_id, username, address)
                SELECT n.id, radial.raw_name(n.username::text), v.address
                FROM newrows n CROSS JOIN LATERAL (SELECT radial.static_address(n.attribute::text, n.op::text, n.value::text) AS address OFFSET 0) v
                WHERE radial.is_static(n.attribute::text) AND v.address IS NOT NULL AND n.username::text <> ''
                ON CONFLICT (reply_id) DO UPDATE SET username = excluded.username, address = excluded.address
                RETURNING address
            )
            SELECT coalesce(array_agg(i.address), '{}') INTO come FROM i;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        RAISE LOG 'radial: static addresses were not noted, and will be: %', SQLERRM;
        RETURN NULL;
    END;
    IF cardinality(touched || come) > 0 THEN
        INSERT INTO radial.static_pending (addresses) VALUES (touched || come);
    END IF;
    RETURN NULL;
END $$;

-- At the end of the transaction, for all its statements at once: addresses are locked in their order, and for no longer than
-- that takes, whatever the writer does before and how long he thinks.
CREATE FUNCTION radial.static_settle() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    touched inet[];
BEGIN
    WITH d AS (DELETE FROM radial.static_pending p WHERE p.xact = pg_current_xact_id() RETURNING p.addresses)
    SELECT array_agg(DISTINCT a) INTO touched FROM d CROSS JOIN LATERAL unnest(d.addresses) a;
    IF touched IS NOT NULL THEN
        PERFORM radial.settle_static(touched);
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE LOG 'radial: static addresses were not reserved, and will be: %', SQLERRM;
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER radial_static_insert AFTER INSERT ON radreply REFERENCING NEW TABLE AS newrows FOR EACH STATEMENT EXECUTE FUNCTION radial.static_changed();
CREATE TRIGGER radial_static_update AFTER UPDATE ON radreply REFERENCING OLD TABLE AS oldrows NEW TABLE AS newrows FOR EACH STATEMENT EXECUTE FUNCTION radial.static_changed();
CREATE TRIGGER radial_static_delete AFTER DELETE ON radreply REFERENCING OLD TABLE AS oldrows FOR EACH STATEMENT EXECUTE FUNCTION radial.static_changed();
CREATE CONSTRAINT TRIGGER static_settle AFTER INSERT ON radial.static_pending DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION radial.static_settle();
CREATE TRIGGER radial_static_truncate AFTER TRUNCATE ON radreply FOR EACH STATEMENT EXECUTE FUNCTION radial.static_changed();

INSERT INTO radial.static_addresses (reply_id, username, address)
SELECT r.id, radial.raw_name(r.username::text), v.address
FROM radreply r CROSS JOIN LATERAL (SELECT radial.static_address(r.attribute::text, r.op::text, r.value::text) AS address OFFSET 0) v
WHERE radial.is_static(r.attribute::text) AND v.address IS NOT NULL AND r.username::text <> '';
