-- When a login was last answered with an address that its caller had already. Of one that was free, since tells it.
-- A session that is told of out of a journal, and was heard of before, is not that login's (ipam.LoginStands).

-- +goose Up
ALTER TABLE radial.addresses ADD COLUMN answered timestamptz;
