-- What leasing asks of pools and subnets in each transaction, and IPv6 pools whose rows come and go.

-- +goose Up
-- Nearly always empty: a claim looks whether a pool or subnet gives no leases.
CREATE INDEX pools_withheld_idx ON radial.pools (id) WHERE status <> 'active';
CREATE INDEX subnets_inactive_idx ON radial.subnets (id) WHERE status = 'inactive';

-- The last transaction that took rows out of an IPv6 pool: as long as it stays the same, a pool in which every prefix
-- had a row has no gap.
ALTER TABLE radial.pools ADD COLUMN rows_gone xid8 NOT NULL DEFAULT '0';

-- +goose StatementBegin
-- Runs as its owner: who may delete addresses need not be able to change pools.
CREATE FUNCTION radial.note_gone() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE radial.pools SET rows_gone = pg_current_xact_id() WHERE id = OLD.pool_id AND rows_gone <> pg_current_xact_id();
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER addresses_gone AFTER DELETE ON radial.addresses
    FOR EACH ROW WHEN (family(OLD.address) = 6) EXECUTE FUNCTION radial.note_gone();
