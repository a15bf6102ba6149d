-- Many subscribers at once, as `radial user add` makes them one by one: the subscriber, his rows in FreeRADIUS's tables, and whose they
-- are. psql -v users=1000000 -v packages=20 -f subscribers.sql, in a database that has packages p00, p01 … of that number.
-- Users u000000 and up have passwords pw000000 and up. Servers that run meanwhile drop what they have in memory once, at the end.
\set ON_ERROR_STOP on
begin;
create temporary table wanted on commit drop as
  select i, 'u' || lpad(i::text, 6, '0') as username, 'pw' || lpad(i::text, 6, '0') as password, 'p' || lpad((i % :packages)::text, 2, '0') as package
  from generate_series(0, :users - 1) i;
insert into radial.subscribers (username, package_id)
  select w.username, p.id from wanted w join radial.packages p on p.name = w.package order by w.i;
with made as (
  insert into radcheck (username, attribute, op, value) select username, 'Cleartext-Password', ':=', password from wanted order by i returning id, username, attribute, op, value)
insert into radial.projection (tbl, row_id, owner, digest)
  select 'radcheck', id, 'user:' || username, left(encode(sha256(convert_to(
    format('8:radcheck%s:%s%s:%s2::=%s:%s0:1:0', octet_length(username), username, octet_length(attribute), attribute, octet_length(value), value), 'UTF8')), 'hex'), 32)
  from made order by id;
with made as (
  insert into radusergroup (username, groupname, priority) select username, package, 100 from wanted order by i returning id, username, groupname)
insert into radial.projection (tbl, row_id, owner, digest)
  select 'radusergroup', id, 'user:' || username, left(encode(sha256(convert_to(
    format('12:radusergroup%s:%s0:0:0:%s:%s3:100', octet_length(username), username, octet_length(groupname), groupname), 'UTF8')), 'hex'), 32)
  from made order by id;
commit;
vacuum analyze;
