-- The word "unlimited" alone lifts all quotas that groups give, whatever their period and count: a row (all, all, -1). Rows of
-- before, (month, total, -1) and such, go on lifting their own period and count alone.

-- +goose Up
ALTER TABLE radial.quotas
    DROP CONSTRAINT quotas_period_check,
    DROP CONSTRAINT quotas_counts_check,
    ADD CONSTRAINT quotas_period_check CHECK (period IN ('day', 'week', 'month', 'ever') OR period = 'all' AND octets = -1 AND NOT carry_over),
    ADD CONSTRAINT quotas_counts_check CHECK (counts IN ('total', 'up', 'down') AND period <> 'all' OR counts = 'all' AND period = 'all');
