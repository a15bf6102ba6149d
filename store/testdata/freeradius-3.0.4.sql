-- A database as FreeRADIUS 3.0.4 made it: varchar columns, groupname in radacct, no IPv6 columns, no class, no nasreload,
-- no id in radusergroup, fewer indexes, and some that an operator has made under names of his own.
CREATE TABLE radacct (
    radacctid          bigserial PRIMARY KEY,
    acctsessionid      varchar(64) NOT NULL,
    acctuniqueid       varchar(32) NOT NULL UNIQUE,
    username           varchar(253),
    groupname          varchar(253),
    realm              varchar(64),
    nasipaddress       inet NOT NULL,
    nasportid          varchar(15),
    nasporttype        varchar(32),
    acctstarttime      timestamp with time zone,
    acctupdatetime     timestamp with time zone,
    acctstoptime       timestamp with time zone,
    acctinterval       bigint,
    acctsessiontime    bigint,
    acctauthentic      varchar(32),
    connectinfo_start  varchar(50),
    connectinfo_stop   varchar(50),
    acctinputoctets    bigint,
    acctoutputoctets   bigint,
    calledstationid    varchar(50),
    callingstationid   varchar(50),
    acctterminatecause varchar(32),
    servicetype        varchar(32),
    framedprotocol     varchar(32),
    framedipaddress    inet
);
CREATE INDEX radacct_active_user_idx ON radacct (acctsessionid, username, nasipaddress) WHERE acctstoptime IS NULL;
CREATE INDEX radacct_start_user_idx ON radacct (acctstarttime, username);
CREATE INDEX who_is_online ON radacct (username) WHERE acctstoptime IS NULL;
CREATE TABLE radcheck (
    id        serial PRIMARY KEY,
    username  varchar(64) NOT NULL DEFAULT '',
    attribute varchar(64) NOT NULL DEFAULT '',
    op        char(2) NOT NULL DEFAULT '==',
    value     varchar(253) NOT NULL DEFAULT ''
);
CREATE INDEX my_radcheck ON radcheck (username, attribute);
CREATE TABLE radgroupcheck (
    id        serial PRIMARY KEY,
    groupname varchar(64) NOT NULL DEFAULT '',
    attribute varchar(64) NOT NULL DEFAULT '',
    op        char(2) NOT NULL DEFAULT '==',
    value     varchar(253) NOT NULL DEFAULT ''
);
CREATE INDEX radgroupcheck_groupname ON radgroupcheck (groupname, attribute);
CREATE TABLE radgroupreply (
    id        serial PRIMARY KEY,
    groupname varchar(64) NOT NULL DEFAULT '',
    attribute varchar(64) NOT NULL DEFAULT '',
    op        char(2) NOT NULL DEFAULT '=',
    value     varchar(253) NOT NULL DEFAULT ''
);
CREATE INDEX radgroupreply_groupname ON radgroupreply (groupname, attribute);
CREATE TABLE radreply (
    id        serial PRIMARY KEY,
    username  varchar(64) NOT NULL DEFAULT '',
    attribute varchar(64) NOT NULL DEFAULT '',
    op        char(2) NOT NULL DEFAULT '=',
    value     varchar(253) NOT NULL DEFAULT ''
);
CREATE INDEX radreply_username ON radreply (username, attribute);
CREATE TABLE radusergroup (
    username  varchar(64) NOT NULL DEFAULT '',
    groupname varchar(64) NOT NULL DEFAULT '',
    priority  integer NOT NULL DEFAULT 0
);
CREATE INDEX radusergroup_username ON radusergroup (username);
CREATE TABLE radpostauth (
    id               bigserial PRIMARY KEY,
    username         varchar(253) NOT NULL,
    pass             varchar(128),
    reply            varchar(32),
    calledstationid  varchar(50),
    callingstationid varchar(50),
    authdate         timestamp with time zone NOT NULL DEFAULT now()
);
CREATE TABLE nas (
    id          serial PRIMARY KEY,
    nasname     varchar(128) NOT NULL,
    shortname   varchar(32) NOT NULL,
    type        varchar(30) NOT NULL DEFAULT 'other',
    ports       int4,
    secret      varchar(60) NOT NULL,
    server      varchar(64),
    community   varchar(50),
    description varchar(200)
);
CREATE INDEX nas_nasname ON nas (nasname);
