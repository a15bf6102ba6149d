-- Statement triggers that tell the policy cache and the table of devices what has changed. Payload on channel
-- radial_policy: 'u<JSON array of usernames>', 'g<JSON array of groupnames>', or '*' (everything; also after TRUNCATE and
-- above 2,000 names). On channel radial_nas: '*'. Names are as stored (FreeRADIUS's =HH escaping is not undone here).
-- The functions run as their owner: whoever may write to radcheck need not know that schema radial is there.
-- Never on radacct, radpostauth or radial.addresses: NOTIFY takes a lock at commit.

-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION radial.notify_names(kind text, names text[]) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    chunk text[] := '{}';
    size  integer := 0;
    name  text;
BEGIN
    IF cardinality(names) = 0 THEN
        RETURN;
    END IF;
    IF cardinality(names) > 2000 THEN
        PERFORM pg_notify('radial_policy', '*');
        RETURN;
    END IF;
    FOREACH name IN ARRAY names LOOP
        IF octet_length(name) > 1000 THEN
            PERFORM pg_notify('radial_policy', '*');
            RETURN;
        END IF;
        -- JSON may double what it quotes; \u00XX takes six bytes for one
        IF size + 6 * octet_length(name) + 3 > 7000 AND size > 0 THEN
            PERFORM pg_notify('radial_policy', kind || to_json(chunk)::text);
            chunk := '{}';
            size := 0;
        END IF;
        chunk := chunk || name;
        size := size + 6 * octet_length(name) + 3;
    END LOOP;
    PERFORM pg_notify('radial_policy', kind || to_json(chunk)::text);
END $$;

CREATE FUNCTION radial.policy_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
-- TG_ARGV: kind (u or g); the name's column is username or groupname. Transition tables are named newrows and oldrows.
DECLARE
    names text[];
    col   text := CASE TG_ARGV[0] WHEN 'u' THEN 'username' ELSE 'groupname' END;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM pg_notify('radial_policy', '*');
    ELSIF TG_OP = 'INSERT' THEN
        EXECUTE format('SELECT array(SELECT DISTINCT %I::text FROM newrows WHERE %1$I IS NOT NULL LIMIT 2001)', col) INTO names;
        PERFORM radial.notify_names(TG_ARGV[0], names);
    ELSIF TG_OP = 'DELETE' THEN
        EXECUTE format('SELECT array(SELECT DISTINCT %I::text FROM oldrows WHERE %1$I IS NOT NULL LIMIT 2001)', col) INTO names;
        PERFORM radial.notify_names(TG_ARGV[0], names);
    ELSE
        EXECUTE format('SELECT array(SELECT %I::text FROM newrows WHERE %1$I IS NOT NULL UNION SELECT %1$I::text FROM oldrows WHERE %1$I IS NOT NULL LIMIT 2001)', col) INTO names;
        PERFORM radial.notify_names(TG_ARGV[0], names);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION radial.nas_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify('radial_nas', '*');
    RETURN NULL;
END $$;

DO $$
DECLARE
    t record;
BEGIN
    FOR t IN SELECT * FROM (VALUES ('radcheck', 'u'), ('radreply', 'u'), ('radusergroup', 'u'), ('radgroupcheck', 'g'), ('radgroupreply', 'g')) v(tbl, kind) LOOP
        EXECUTE format('CREATE TRIGGER radial_insert AFTER INSERT ON %I REFERENCING NEW TABLE AS newrows FOR EACH STATEMENT EXECUTE FUNCTION radial.policy_changed(%L)', t.tbl, t.kind);
        EXECUTE format('CREATE TRIGGER radial_update AFTER UPDATE ON %I REFERENCING OLD TABLE AS oldrows NEW TABLE AS newrows FOR EACH STATEMENT EXECUTE FUNCTION radial.policy_changed(%L)', t.tbl, t.kind);
        EXECUTE format('CREATE TRIGGER radial_delete AFTER DELETE ON %I REFERENCING OLD TABLE AS oldrows FOR EACH STATEMENT EXECUTE FUNCTION radial.policy_changed(%L)', t.tbl, t.kind);
        EXECUTE format('CREATE TRIGGER radial_truncate AFTER TRUNCATE ON %I FOR EACH STATEMENT EXECUTE FUNCTION radial.policy_changed(%L)', t.tbl, t.kind);
    END LOOP;
END $$;
-- +goose StatementEnd

CREATE TRIGGER radial_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON nas FOR EACH STATEMENT EXECUTE FUNCTION radial.nas_changed();
CREATE TRIGGER radial_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON radial.nas_settings FOR EACH STATEMENT EXECUTE FUNCTION radial.nas_changed();
