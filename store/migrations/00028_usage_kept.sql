-- Days of usage that are older than somebody wants to see them one by one are kept as one row for each user: of his first day, with their sum
-- (docs/decisions/0007-usage.md).

-- +goose Up
ALTER TABLE radial.usage_daily ADD COLUMN upto date; -- the last of the days whose sum the row is; NULL: its own alone
