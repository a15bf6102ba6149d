-- What goes through all subscribers page by page, by name.

-- +goose Up
-- In byte order, as lists and the hourly look at all of them go: without it each page read and sorted the whole table.
CREATE INDEX subscribers_name_idx ON radial.subscribers (username COLLATE "C");
