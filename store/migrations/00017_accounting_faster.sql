-- What each accounting batch asks of the pools.

-- +goose Up
-- The shortest lease time: how long the addresses of a session that reports regularly need no look.
CREATE INDEX pools_lease_time_idx ON radial.pools (lease_time);
