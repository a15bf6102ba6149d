-- Subscribers and packages in full: bursts, priority, address list, filter, name servers, VLAN and currency of packages, their walled
-- gardens, and the MAC addresses that a subscriber is bound to. Changes of a walled garden are told on radial_policy as those of a group.

-- +goose Up
ALTER TABLE radial.packages
    ADD COLUMN burst_down     bigint CHECK (burst_down > 0),       -- bits per second for a while
    ADD COLUMN burst_up       bigint CHECK (burst_up > 0),
    ADD COLUMN threshold_down bigint CHECK (threshold_down > 0),   -- average in bits per second below which bursts are allowed
    ADD COLUMN threshold_up   bigint CHECK (threshold_up > 0),
    ADD COLUMN burst_time     integer CHECK (burst_time > 0),      -- seconds over which the average is taken
    ADD COLUMN min_down       bigint CHECK (min_down > 0),         -- guaranteed bits per second
    ADD COLUMN min_up         bigint CHECK (min_up > 0),
    ADD COLUMN priority       smallint CHECK (priority BETWEEN 1 AND 8),
    ADD COLUMN address_list   text,                                -- Mikrotik-Address-List of its group
    ADD COLUMN filter         text,                                -- Filter-Id
    ADD COLUMN dns            inet[] NOT NULL DEFAULT '{}',        -- MS-Primary-DNS-Server and so on
    ADD COLUMN vlan           smallint CHECK (vlan BETWEEN 1 AND 4094), -- Tunnel-Private-Group-Id
    ADD COLUMN currency       text CHECK (currency ~ '^[A-Z]{3}$'),
    ADD COLUMN walled         jsonb;                               -- its walled garden: aaa.Walled; NULL: none

ALTER TABLE radial.subscribers
    ADD COLUMN macs text[] NOT NULL DEFAULT '{}',                  -- the only devices that he may use: AA:BB:CC:DD:EE:FF
    DROP CONSTRAINT subscribers_service_type_check,
    ADD CONSTRAINT subscribers_service_type_check CHECK (service_type IN ('pppoe', 'hotspot', 'static', 'dhcp'));
CREATE INDEX subscribers_due_idx ON radial.subscribers (expires_at) WHERE status = 'active' AND expires_at IS NOT NULL;

-- +goose StatementBegin
CREATE FUNCTION radial.walled_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    names text[];
BEGIN
    IF TG_OP = 'UPDATE' THEN
        names := array(SELECT n.name FROM newrows n JOIN oldrows o USING (id) WHERE n.walled IS DISTINCT FROM o.walled LIMIT 1001);
    ELSIF TG_OP = 'INSERT' THEN
        names := array(SELECT name FROM newrows WHERE walled IS NOT NULL LIMIT 1001);
    ELSE
        names := array(SELECT name FROM oldrows WHERE walled IS NOT NULL LIMIT 1001);
    END IF;
    PERFORM radial.notify_names('G', names || array(SELECT n || ':walled' FROM unnest(names) n));
    RETURN NULL;
END $$;
-- +goose StatementEnd

CREATE TRIGGER radial_insert AFTER INSERT ON radial.packages REFERENCING NEW TABLE AS newrows FOR EACH STATEMENT EXECUTE FUNCTION radial.walled_changed();
CREATE TRIGGER radial_update AFTER UPDATE ON radial.packages REFERENCING OLD TABLE AS oldrows NEW TABLE AS newrows FOR EACH STATEMENT EXECUTE FUNCTION radial.walled_changed();
CREATE TRIGGER radial_delete AFTER DELETE ON radial.packages REFERENCING OLD TABLE AS oldrows FOR EACH STATEMENT EXECUTE FUNCTION radial.walled_changed();
