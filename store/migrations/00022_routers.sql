-- Routers that are managed by their API, and what has been configured on them.

-- +goose Up
CREATE TABLE radial.routers (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL UNIQUE CHECK (name <> '' AND length(name) <= 100),
    address     text NOT NULL CHECK (address <> ''),  -- an address or a host name, without a port
    api_port    integer NOT NULL CHECK (api_port BETWEEN 1 AND 65535),
    tls         boolean NOT NULL,
    pin         text CHECK (pin ~ '^[0-9a-f]{64}$'),  -- SHA-256 of its certificate; NULL: the system's authorities judge
    username    text NOT NULL CHECK (username <> ''),
    password    bytea NOT NULL,                       -- sealed: AES-GCM under the key of data_dir/key or RADIAL_SECRET_KEY
    nas_id      bigint,                               -- nas.id; no foreign key: the table is FreeRADIUS's
    description text NOT NULL DEFAULT '',
    status      text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive', 'error')),
    checked_at  timestamptz,                          -- of the last look; what it found:
    problem     text NOT NULL DEFAULT '',
    identity    text NOT NULL DEFAULT '',
    version     text NOT NULL DEFAULT '',
    board       text NOT NULL DEFAULT '',
    uptime      bigint NOT NULL DEFAULT 0,            -- seconds
    latency     integer NOT NULL DEFAULT 0,           -- milliseconds, of a command
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX routers_nas_idx ON radial.routers (nas_id);

-- What `radial router configure` and undo have done. The row is there before the first change on the router.
CREATE TABLE radial.router_configurations (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    router_id  bigint NOT NULL REFERENCES radial.routers ON DELETE CASCADE,
    kind       text NOT NULL CHECK (kind IN ('configure', 'undo')),
    parts      text[] NOT NULL,             -- radius, ppp, pools, …
    changes    jsonb NOT NULL,              -- [{"action","path","key","before","after"}]; secrets in it are sealed
    status     text NOT NULL CHECK (status IN ('pending', 'applied', 'failed', 'undone')),
    problem    text NOT NULL DEFAULT '',    -- why it failed
    undoes     bigint REFERENCES radial.router_configurations ON DELETE SET NULL,
    actor      text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    applied_at timestamptz
);
CREATE INDEX router_configurations_router_idx ON radial.router_configurations (router_id, id);
