-- Sessions that begin together report together: each row of a page gets its new version at about the same time, and there is to
-- be room for all of them, or those without write all their indexes anew. A table whose owner has set something else, or that
-- belongs to another role, stays as it is (radial doctor tells). Rows that are there stay where they are.

-- +goose Up
-- +goose StatementBegin
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_class c WHERE c.oid = 'radacct'::regclass AND c.reloptions @> '{fillfactor=70}' AND pg_has_role(c.relowner, 'USAGE')) THEN
        ALTER TABLE radacct SET (fillfactor = 50);
    END IF;
END
$$;
-- +goose StatementEnd
