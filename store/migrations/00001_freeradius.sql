-- FreeRADIUS's tables, by its PostgreSQL schema (3.2.1 to 3.2.11, the same file): names, types, defaults and indexes
-- are its own. An existing database of FreeRADIUS 3.0.4 or later is adopted: what is missing is added, no row is touched.

-- +goose Up
CREATE TABLE IF NOT EXISTS radacct (
    radacctid           bigserial PRIMARY KEY,
    acctsessionid       text NOT NULL,
    acctuniqueid        text NOT NULL UNIQUE,
    username            text,
    realm               text,
    nasipaddress        inet NOT NULL,
    nasportid           text,
    nasporttype         text,
    acctstarttime       timestamptz,
    acctupdatetime      timestamptz,
    acctstoptime        timestamptz,
    acctinterval        bigint,
    acctsessiontime     bigint,
    acctauthentic       text,
    connectinfo_start   text,
    connectinfo_stop    text,
    acctinputoctets     bigint,
    acctoutputoctets    bigint,
    calledstationid     text,
    callingstationid    text,
    acctterminatecause  text,
    servicetype         text,
    framedprotocol      text,
    framedipaddress     inet,
    framedipv6address   inet,
    framedipv6prefix    inet,
    framedinterfaceid   text,
    delegatedipv6prefix inet,
    class               text
) WITH (fillfactor = 70);

CREATE TABLE IF NOT EXISTS radcheck (
    id        serial PRIMARY KEY,
    username  text NOT NULL DEFAULT '',
    attribute text NOT NULL DEFAULT '',
    op        varchar(2) NOT NULL DEFAULT '==',
    value     text NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS radreply (
    id        serial PRIMARY KEY,
    username  text NOT NULL DEFAULT '',
    attribute text NOT NULL DEFAULT '',
    op        varchar(2) NOT NULL DEFAULT '=',
    value     text NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS radgroupcheck (
    id        serial PRIMARY KEY,
    groupname text NOT NULL DEFAULT '',
    attribute text NOT NULL DEFAULT '',
    op        varchar(2) NOT NULL DEFAULT '==',
    value     text NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS radgroupreply (
    id        serial PRIMARY KEY,
    groupname text NOT NULL DEFAULT '',
    attribute text NOT NULL DEFAULT '',
    op        varchar(2) NOT NULL DEFAULT '=',
    value     text NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS radusergroup (
    id        serial PRIMARY KEY,
    username  text NOT NULL DEFAULT '',
    groupname text NOT NULL DEFAULT '',
    priority  integer NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS radpostauth (
    id               bigserial PRIMARY KEY,
    username         text NOT NULL,
    pass             text,
    reply            text,
    calledstationid  text,
    callingstationid text,
    authdate         timestamptz NOT NULL DEFAULT now(),
    class            text
);
CREATE TABLE IF NOT EXISTS nas (
    id          serial PRIMARY KEY,
    nasname     text NOT NULL,
    shortname   text NOT NULL,
    type        text NOT NULL DEFAULT 'other',
    ports       integer,
    secret      text NOT NULL,
    server      text,
    community   text,
    description text
);
CREATE TABLE IF NOT EXISTS nasreload (
    nasipaddress inet PRIMARY KEY,
    reloadtime   timestamptz NOT NULL
);

-- What versions since 3.0.4 have added (the IPv6 columns by 3.0.19, class by 3.0.22, acctupdatetime and acctinterval by 3.0).
ALTER TABLE radacct
    ADD COLUMN IF NOT EXISTS acctupdatetime      timestamptz,
    ADD COLUMN IF NOT EXISTS acctinterval        bigint,
    ADD COLUMN IF NOT EXISTS connectinfo_start   text,
    ADD COLUMN IF NOT EXISTS connectinfo_stop    text,
    ADD COLUMN IF NOT EXISTS framedipv6address   inet,
    ADD COLUMN IF NOT EXISTS framedipv6prefix    inet,
    ADD COLUMN IF NOT EXISTS framedinterfaceid   text,
    ADD COLUMN IF NOT EXISTS delegatedipv6prefix inet,
    ADD COLUMN IF NOT EXISTS class               text;
ALTER TABLE radpostauth
    ADD COLUMN IF NOT EXISTS calledstationid  text,
    ADD COLUMN IF NOT EXISTS callingstationid text,
    ADD COLUMN IF NOT EXISTS class            text,
    -- ours, nullable: why, and whence
    ADD COLUMN IF NOT EXISTS reason          text,
    ADD COLUMN IF NOT EXISTS detail          text,
    ADD COLUMN IF NOT EXISTS nasipaddress    inet,
    ADD COLUMN IF NOT EXISTS nasportid       text,
    ADD COLUMN IF NOT EXISTS framedipaddress inet;

-- Until 3.0.15 or so radusergroup had no id. Appended, so that inserts without a list of columns still work.
-- +goose StatementBegin
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'radusergroup'::regclass AND attname = 'id' AND NOT attisdropped) THEN
        IF EXISTS (SELECT FROM pg_index WHERE indrelid = 'radusergroup'::regclass AND indisprimary) THEN
            ALTER TABLE radusergroup ADD COLUMN id serial UNIQUE;
        ELSE
            ALTER TABLE radusergroup ADD COLUMN id serial PRIMARY KEY;
        END IF;
    END IF;
END $$;
-- +goose StatementEnd

-- The indexes are made by store/indexes.go, without locking anyone out: FreeRADIUS may be at work in these tables.
