-- IPAM in full: what pools and subnets have beyond a network and a gateway, IPv6, exclusions, conflicts.

-- +goose Up
-- A run of addresses, both ends as hosts (/32 or /128).
CREATE TYPE radial.inetrange AS RANGE (SUBTYPE = inet);

ALTER TABLE radial.pools
    -- what a lease of the pool is: Framed-IP-Address, Framed-IPv6-Prefix, Delegated-IPv6-Prefix or Framed-IPv6-Address
    ADD COLUMN kind          text NOT NULL DEFAULT 'ipv4' CHECK (kind IN ('ipv4', 'ipv6_prefix', 'delegated_prefix', 'ipv6_address')),
    ADD COLUMN prefix_length smallint NOT NULL DEFAULT 32,   -- of one lease
    ADD COLUMN type          text NOT NULL DEFAULT 'private' CHECK (type IN ('public', 'private')),
    ADD COLUMN dns           inet[] NOT NULL DEFAULT '{}',   -- servers for its subscribers, in order
    ADD COLUMN vlan          integer CHECK (vlan BETWEEN 1 AND 4094),
    ADD COLUMN sticky        text NOT NULL DEFAULT 'user_mac' CHECK (sticky IN ('user_mac', 'user', 'mac', 'none')),
    ADD COLUMN cooling_time  interval NOT NULL DEFAULT '0' CHECK (cooling_time >= '0'),  -- after release, before another caller gets it
    ADD COLUMN fallback      text[] NOT NULL DEFAULT '{}',   -- pools of the same VRF that are tried when this one is full, in order
    ADD COLUMN interface_id  text NOT NULL DEFAULT 'none' CHECK (interface_id IN ('none', 'eui64', 'stable')),  -- Framed-Interface-Id beside an ipv6_prefix lease
    ADD COLUMN updated_at    timestamptz NOT NULL DEFAULT now(),
    ADD CONSTRAINT pools_prefix_length CHECK (CASE kind WHEN 'ipv4' THEN prefix_length = 32 WHEN 'ipv6_address' THEN prefix_length = 128 ELSE prefix_length BETWEEN 1 AND 127 END);

ALTER TABLE radial.subnets
    ADD COLUMN first       inet,   -- the run of the network that the pool gives of: all of it, or a range
    ADD COLUMN last        inet,
    ADD COLUMN vlan        integer CHECK (vlan BETWEEN 1 AND 4094),
    ADD COLUMN description text NOT NULL DEFAULT '',
    ADD COLUMN status      text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive')),
    ADD COLUMN overlap     boolean NOT NULL DEFAULT false,   -- made while ipam.allow_overlap was on
    ADD COLUMN updated_at  timestamptz NOT NULL DEFAULT now();
UPDATE radial.subnets SET first = host(network)::inet, last = host(broadcast(network))::inet;
ALTER TABLE radial.subnets
    ALTER COLUMN first SET NOT NULL,
    ALTER COLUMN last SET NOT NULL,
    ADD CONSTRAINT subnets_run CHECK (first <= last AND first <<= network AND last <<= network),
    -- int4range stands for equality: gist knows none of integers without an extension
    ADD CONSTRAINT subnets_overlap EXCLUDE USING gist (int4range(vrf_id, vrf_id, '[]') WITH &&, radial.inetrange(first, last, '[]') WITH &&) WHERE (NOT overlap);

-- Addresses of a subnet that are never given. IPv4: they have no row in radial.addresses, as the gateway has none.
CREATE TABLE radial.exclusions (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subnet_id  bigint NOT NULL REFERENCES radial.subnets ON DELETE CASCADE,
    first      inet NOT NULL,
    last       inet NOT NULL,
    reason     text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    CHECK (first <= last)
);
CREATE INDEX exclusions_subnet_idx ON radial.exclusions (subnet_id);

-- IPv6 leases are rows too (address is the prefix), made when they are first leased.
ALTER TABLE radial.addresses
    ADD COLUMN reason text,   -- of a reserved row: 'static' for a subscriber's own, else the operator's words
    DROP CONSTRAINT addresses_state_check,
    ADD CONSTRAINT addresses_state_check CHECK (state IN ('free', 'offered', 'bound', 'reserved', 'cooling'));
DROP INDEX radial.addresses_offer_idx;
CREATE INDEX addresses_until_idx ON radial.addresses (until) WHERE state IN ('offered', 'cooling');
UPDATE radial.addresses SET reason = 'static' WHERE state = 'reserved';

-- Sessions that report an address which another one holds: one row for each such session and address.
CREATE TABLE radial.address_conflicts (
    vrf_id            integer NOT NULL,
    address           inet NOT NULL,
    radacctid         bigint NOT NULL,   -- of the session that reports it
    first_at          timestamptz NOT NULL,
    last_at           timestamptz NOT NULL,
    times             bigint NOT NULL DEFAULT 1,
    username          text,
    mac               text,
    nas               inet,
    session_id        text,
    state             text NOT NULL,     -- of the row then, and its holder
    holder_username   text,
    holder_mac        text,
    holder_nas        inet,
    holder_session_id text,
    holder_radacctid  bigint,
    PRIMARY KEY (vrf_id, address, radacctid)
);
CREATE INDEX address_conflicts_last_idx ON radial.address_conflicts (last_at);

-- Where logins get their addresses.
ALTER TABLE radial.packages
    ADD COLUMN framed_pool           text,   -- name of a pool on the NAS (Framed-Pool); nothing is leased then
    ADD COLUMN ipv6_prefix_pool      text,   -- Framed-IPv6-Pool of its group's check items
    ADD COLUMN delegated_prefix_pool text,   -- Delegated-IPv6-Prefix-Pool
    ADD COLUMN ipv6_address_pool     text;   -- Stateful-IPv6-Address-Pool
ALTER TABLE radial.nas_settings
    ADD COLUMN pool text;                    -- for logins that name none
