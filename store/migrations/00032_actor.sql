-- The history of addresses names who made an address somebody's own, or took it away from him: whom the transaction says
-- (store.DB.change), where it is a role of Radial's; and the role where radreply was written past us.

-- +goose Up
-- +goose StatementBegin
-- Who changes something. A role that may not write the history may not say that it is somebody else.
CREATE FUNCTION radial.actor() RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS
$$ SELECT CASE WHEN has_table_privilege(session_user, 'radial.address_history', 'INSERT')
               THEN coalesce(nullif(current_setting('radial.actor', true), ''), 'db:' || session_user) ELSE 'db:' || session_user END $$;

-- Makes the rows of some addresses what the list of static ones says: reserved, or given back. Rows that somebody else
-- holds, and those that an operator reserved, stay. Rows are locked in the order in which all lock addresses, at once, and none is
-- written that is not among them; then those are made that are missing. Who has rows of addresses already must not wait here for
-- others (wait is false): what somebody has locked stays as it is, for store.DB.ReserveStaticIPs. Rows are looked up one by one,
-- whatever the planner knows of the tables: never by a scan of all addresses.
CREATE OR REPLACE FUNCTION radial.settle_static(statics inet[], wait boolean DEFAULT true, OUT reserved bigint, OUT unreserved bigint) LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    vrfs   integer[]; -- of the rows that are locked
    locked inet[];
    made   bigint;
    who    text := radial.actor();
BEGIN
    -- new rows will hold their pools and subnets: who takes addresses out of these has them before the addresses
    PERFORM FROM radial.static_rows(statics) r JOIN radial.pools p ON p.id = r.pool_id JOIN radial.subnets n ON n.id = r.subnet_id
    WHERE r.kind <> 'ipv4' ORDER BY p.id, n.id FOR KEY SHARE OF p, n;

    IF wait THEN
        SELECT array_agg(l.vrf_id), array_agg(l.address) INTO vrfs, locked
        FROM (SELECT a.vrf_id, a.address FROM radial.static_rows(statics) r JOIN radial.addresses a ON a.vrf_id = r.vrf_id AND a.address = r.address
              ORDER BY a.vrf_id, a.address FOR UPDATE OF a) l;
    ELSE
        SELECT array_agg(l.vrf_id), array_agg(l.address) INTO vrfs, locked
        FROM (SELECT a.vrf_id, a.address FROM radial.static_rows(statics) r JOIN radial.addresses a ON a.vrf_id = r.vrf_id AND a.address = r.address
              ORDER BY a.vrf_id, a.address FOR UPDATE OF a SKIP LOCKED) l;
    END IF;

    -- A session that has one goes on with it. Else it cools off for as long as a login that was answered with it may take to start.
    WITH gone AS (
        UPDATE radial.addresses a
        SET state = CASE WHEN r.radacctid IS NULL THEN 'cooling' ELSE 'bound' END, reason = NULL, radacctid = r.radacctid, nas = r.nas, session_id = r.session_id,
            since = clock_timestamp(),
            until = now() + CASE WHEN r.radacctid IS NULL THEN greatest(p.cooling_time, p.offer_time) ELSE p.lease_time END
        FROM (SELECT w.vrf_id, w.address, o.radacctid, o.nas, o.session_id
              FROM unnest(vrfs, locked) w (vrf_id, address) JOIN radial.addresses b ON b.vrf_id = w.vrf_id AND b.address = w.address
              LEFT JOIN LATERAL radial.open_session_of(b.vrf_id, b.address, b.username) o ON true
              WHERE b.state = 'reserved' AND b.reason = 'static') r, radial.pools p
        WHERE a.vrf_id = r.vrf_id AND a.address = r.address AND a.state = 'reserved' AND a.reason = 'static' AND p.id = a.pool_id
          AND NOT EXISTS (SELECT FROM radial.static_addresses s WHERE s.address BETWEEN a.address AND radial.last_of(a.address))
        RETURNING a.vrf_id, a.address, a.pool_id, a.username, a.nas, a.radacctid
    ), told AS (
        INSERT INTO radial.address_history (at, vrf_id, address, pool_id, action, username, nas, radacctid, reason, actor)
        SELECT clock_timestamp(), g.vrf_id, g.address, g.pool_id, t.action, g.username, CASE t.action WHEN 'bound' THEN g.nas END,
               CASE t.action WHEN 'bound' THEN g.radacctid END, CASE t.action WHEN 'bound' THEN 'its session goes on' ELSE 'static address' END, who
        FROM gone g JOIN (VALUES (1, 'unreserved'), (2, 'bound')) t (n, action) ON t.n = 1 OR g.radacctid IS NOT NULL
        ORDER BY t.n
    )
    SELECT count(*) INTO unreserved FROM gone;

    WITH want AS (
        SELECT r.vrf_id, r.address, s.username
        FROM unnest(vrfs, locked) r (vrf_id, address)
        JOIN radial.addresses a ON a.vrf_id = r.vrf_id AND a.address = r.address
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
        SELECT clock_timestamp(), k.vrf_id, k.address, k.pool_id, 'reserved', k.username, 'static address', who FROM kept k
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
        SELECT clock_timestamp(), n.vrf_id, n.address, n.pool_id, 'reserved', n.username, 'static address', who FROM new n
    )
    SELECT count(*) INTO made FROM new;
    reserved := reserved + made;
END $$;
-- +goose StatementEnd
