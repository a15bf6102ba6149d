-- A database as FreeRADIUS 3.0.19 made it: text columns and the IPv6 columns; no class, no nasreload.
CREATE TABLE radacct (
    radacctid bigserial PRIMARY KEY, acctsessionid text NOT NULL, acctuniqueid text NOT NULL UNIQUE, username text, realm text,
    nasipaddress inet NOT NULL, nasportid text, nasporttype text, acctstarttime timestamptz, acctupdatetime timestamptz,
    acctstoptime timestamptz, acctinterval bigint, acctsessiontime bigint, acctauthentic text, connectinfo_start text,
    connectinfo_stop text, acctinputoctets bigint, acctoutputoctets bigint, calledstationid text, callingstationid text,
    acctterminatecause text, servicetype text, framedprotocol text, framedipaddress inet, framedipv6address inet,
    framedipv6prefix inet, framedinterfaceid text, delegatedipv6prefix inet
);
CREATE INDEX radacct_active_session_idx ON radacct (acctuniqueid) WHERE acctstoptime IS NULL;
CREATE INDEX radacct_bulk_close ON radacct (nasipaddress, acctstarttime) WHERE acctstoptime IS NULL;
CREATE INDEX radacct_start_user_idx ON radacct (acctstarttime, username);
CREATE TABLE radcheck (id serial PRIMARY KEY, username text NOT NULL DEFAULT '', attribute text NOT NULL DEFAULT '', op varchar(2) NOT NULL DEFAULT '==', value text NOT NULL DEFAULT '');
CREATE INDEX radcheck_username ON radcheck (username, attribute);
CREATE TABLE radgroupcheck (id serial PRIMARY KEY, groupname text NOT NULL DEFAULT '', attribute text NOT NULL DEFAULT '', op varchar(2) NOT NULL DEFAULT '==', value text NOT NULL DEFAULT '');
CREATE INDEX radgroupcheck_groupname ON radgroupcheck (groupname, attribute);
CREATE TABLE radgroupreply (id serial PRIMARY KEY, groupname text NOT NULL DEFAULT '', attribute text NOT NULL DEFAULT '', op varchar(2) NOT NULL DEFAULT '=', value text NOT NULL DEFAULT '');
CREATE INDEX radgroupreply_groupname ON radgroupreply (groupname, attribute);
CREATE TABLE radreply (id serial PRIMARY KEY, username text NOT NULL DEFAULT '', attribute text NOT NULL DEFAULT '', op varchar(2) NOT NULL DEFAULT '=', value text NOT NULL DEFAULT '');
CREATE INDEX radreply_username ON radreply (username, attribute);
CREATE TABLE radusergroup (id serial PRIMARY KEY, username text NOT NULL DEFAULT '', groupname text NOT NULL DEFAULT '', priority integer NOT NULL DEFAULT 0);
CREATE INDEX radusergroup_username ON radusergroup (username);
CREATE TABLE radpostauth (id bigserial PRIMARY KEY, username text NOT NULL, pass text, reply text, calledstationid text, callingstationid text, authdate timestamptz NOT NULL DEFAULT now());
CREATE TABLE nas (id serial PRIMARY KEY, nasname text NOT NULL, shortname text NOT NULL, type text NOT NULL DEFAULT 'other', ports integer, secret text NOT NULL, server text, community text, description text);
CREATE INDEX nas_nasname ON nas (nasname);
