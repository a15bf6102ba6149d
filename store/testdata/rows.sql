-- Rows as FreeRADIUS writes them, for every version of its schema.
INSERT INTO radcheck (username, attribute, op, value) VALUES ('bob', 'Cleartext-Password', ':=', 'p w'), ('o=27br', 'Cleartext-Password', ':=', 'x'), ('Žofia', 'NAS-Port', '>', '3');
INSERT INTO radreply (username, attribute, op, value) VALUES ('bob', 'Framed-IP-Address', '=', '10.0.0.9');
INSERT INTO radusergroup (username, groupname, priority) VALUES ('bob', 'gold', 1), ('bob', 'silver', 1);
INSERT INTO radgroupcheck (groupname, attribute, op, value) VALUES ('gold', 'Simultaneous-Use', ':=', '1');
INSERT INTO radgroupreply (groupname, attribute, op, value) VALUES ('gold', 'Session-Timeout', '=', '3600');
INSERT INTO nas (nasname, shortname, type, secret) VALUES ('10.0.0.0/8', 'core', 'mikrotik', 's3cret');
INSERT INTO radpostauth (username, pass, reply, authdate) VALUES ('bob', 'p w', 'Access-Accept', '2020-02-02 02:02:02.020202+02');
INSERT INTO radacct (acctsessionid, acctuniqueid, username, realm, nasipaddress, nasportid, nasporttype, acctstarttime, acctupdatetime, acctstoptime,
    acctsessiontime, acctauthentic, connectinfo_start, connectinfo_stop, acctinputoctets, acctoutputoctets, calledstationid, callingstationid,
    acctterminatecause, servicetype, framedprotocol, framedipaddress)
VALUES ('81000001', '674b249b95cac1666a274e053e769c4a', 'bob', NULL, '10.0.0.9', 'ether1', 'Ethernet', '2026-01-01 10:00+00', '2026-01-01 11:00+00', '2026-01-01 11:00+00',
    3600, 'RADIUS', '', '', 8589934597, 5, 'svc', '00:11:22:33:44:55', 'User-Request', 'Framed-User', 'PPP', '100.64.0.1'),
    ('81000002', 'ab055294e3d3f424f97fba2dac137c7e', 'o=27br', NULL, '10.0.0.9', '=3D3Cppp=3D3E', '', '2026-01-02 10:00+00', '2026-01-02 10:00+00', NULL,
    0, '', '', '', 0, 0, '', '', NULL, '', '', '100.64.0.2');
