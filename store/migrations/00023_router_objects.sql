-- What stands on routers: a copy as the last look saw it, and what Radial wants there; which profile a package is on a router.

-- +goose Up
CREATE TABLE radial.router_objects (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    router_id  bigint NOT NULL REFERENCES radial.routers ON DELETE CASCADE,
    kind       text NOT NULL CHECK (kind IN ('secret', 'profile', 'ippool', 'queue', 'hotspot', 'vpn', 'firewall')),
    name       text NOT NULL CHECK (name <> ''),
    scope      text NOT NULL DEFAULT '',       -- of PPP secrets the service, of hotspot users the server
    ros_id     text NOT NULL DEFAULT '',       -- .id on the router; '': not seen there yet
    fields     jsonb NOT NULL DEFAULT '{}',    -- as the router had it, by RouterOS's names, without passwords
    wanted     jsonb,                          -- as Radial wants it; NULL: not ours
    place      text NOT NULL DEFAULT '',       -- of a firewall rule: before which one
    note       text NOT NULL DEFAULT '',
    hidden     bytea,                          -- its password, sealed: the wanted one, else the one seen; NULL: not known
    state      text NOT NULL CHECK (state IN ('synced', 'differs', 'pending', 'removing', 'gone')),
    problem    text NOT NULL DEFAULT '',
    seen_at    timestamptz,
    gone_at    timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (router_id, kind, name, scope)
);

CREATE TABLE radial.router_packages (
    package_id bigint NOT NULL REFERENCES radial.packages ON DELETE CASCADE,
    router_id  bigint NOT NULL REFERENCES radial.routers ON DELETE CASCADE,
    profile    text NOT NULL CHECK (profile <> ''),
    speed      text NOT NULL DEFAULT 'router' CHECK (speed IN ('router', 'radius')),  -- who sets a subscriber's speed
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (package_id, router_id)
);
CREATE INDEX router_packages_router_idx ON radial.router_packages (router_id);
