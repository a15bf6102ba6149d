-- Whether a server that is not heard of any more has died, or is cut off from the database alone: store/gone.go.

-- +goose Up
ALTER TABLE radial.servers
    ADD COLUMN present_on timestamptz, -- when the PostgreSQL began that had its listening connection at its last heartbeat
    ADD COLUMN gone_at    timestamptz; -- when another server saw that this connection had ended
