-- What the clock's work needs to find its rows without reading all addresses: counts by pool, ended sessions, conflicts.

-- +goose Up
-- Sessions with their addresses, with the pool beside, so that counting what is bound reads the index alone.
DROP INDEX radial.addresses_session_idx;
CREATE INDEX addresses_session_idx ON radial.addresses (radacctid) INCLUDE (pool_id) WHERE radacctid IS NOT NULL;
-- Bound without a session of ours: taken over from another server's tables. Nearly always empty.
CREATE INDEX addresses_foreign_idx ON radial.addresses (pool_id) WHERE state = 'bound' AND radacctid IS NULL;
CREATE INDEX addresses_reserved_idx ON radial.addresses (pool_id) WHERE state = 'reserved';
-- Pools whose leases a Start may fail to report: each accounting batch asks whether there is one.
CREATE INDEX pools_sparse_idx ON radial.pools (id) WHERE kind <> 'ipv4';
