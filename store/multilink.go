package store

import (
	"context"
	"net/netip"

	"radial/aaa"
)

// As FreeRADIUS's rlm_sql tells another link of a line: the same address, or
// the same first 16 characters of the Calling-Station-Id.
const sqlSameLine = `
SELECT EXISTS (
    SELECT FROM radacct
    WHERE username = $1::text AND acctstoptime IS NULL
      AND (framedipaddress = $2::inet OR ($3::text <> '' AND left(callingstationid, 16) = left($3::text, 16))))`

var _ aaa.MultilinkFinder = (*Policy)(nil)

// SameLine implements aaa.MultilinkFinder. It is asked only for a user who is
// at his limit and has a Port-Limit above it: no trip is shared.
func (p *Policy) SameLine(ctx context.Context, user, framedIP, calling string) (bool, error) {
	esc, err := p.db.Escaper(ctx)
	if err != nil {
		return false, err
	}
	var address *netip.Addr // NULL equals nothing
	if a, err := netip.ParseAddr(framedIP); err == nil {
		address = &a
	}
	var same bool
	err = p.db.pool.QueryRow(ctx, sqlSameLine, esc.EscapeUser(user), address, esc.Escape(calling)).Scan(&same)
	return same, wrapErr("same line", err)
}
