-- What a lease costs: its row's keys in the indexes, and the conditions that each new version of the row is held against.
-- radial.addresses is locked from the first statement on (a weaker lock at first would be one that could not be raised while somebody
-- writes), while two indexes are made and the table is read once: some ten seconds for 4 million addresses on two processors, in
-- which no address is leased or released, and accounting waits. Servers of a version before this one do not use the new index.

-- +goose Up
DROP INDEX radial.addresses_holder_idx, radial.addresses_foreign_idx, radial.addresses_reserved_idx, radial.addresses_kept_idx;
-- Who has or had an address, compared by bytes: by the rules of a language it takes many times as long, and nobody reads names in
-- this order. A query finds it by username COLLATE "C".
CREATE INDEX addresses_caller_idx ON radial.addresses (username COLLATE "C", mac COLLATE "C") WHERE username IS NOT NULL;
-- The few rows that are neither given nor leased by us: reserved, or bound without a session of ours. One index in place of three.
CREATE INDEX addresses_odd_idx ON radial.addresses (state, vrf_id, address) INCLUDE (pool_id) WHERE state = 'reserved' OR state = 'bound' AND radacctid IS NULL;
-- The same states as before; the first is what a login writes, and an array would be taken apart for each row.
ALTER TABLE radial.addresses
    DROP CONSTRAINT addresses_state_check,
    ADD CONSTRAINT addresses_state_check CHECK (state = 'offered' OR state = 'bound' OR state = 'free' OR state = 'cooling' OR state = 'reserved');
