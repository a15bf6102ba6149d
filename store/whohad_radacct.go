package store

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"radial/aaa"
	"radial/ipam"
	"radial/nas"
)

const (
	trafficColumns = `r.radacctid, r.acctsessionid, r.acctuniqueid, coalesce(r.username, ''), r.nasipaddress, coalesce(r.nasportid, ''),
       coalesce(r.callingstationid, ''), r.acctstarttime, r.acctupdatetime, r.acctstoptime, coalesce(r.acctterminatecause, ''),
       coalesce(r.acctinputoctets, 0), coalesce(r.acctoutputoctets, 0), coalesce(r.framedipaddress, r.framedipv6address, r.delegatedipv6prefix, r.framedipv6prefix)`
	// The session has the address $1, or a prefix that it lies in.
	trafficHas = `(r.framedipaddress = $1::inet OR r.framedipv6address = $1 OR r.framedipv6prefix >>= $1 OR r.delegatedipv6prefix >>= $1)`

	sqlSessionsByID = `
SELECT ` + trafficColumns + ` FROM (` + ofRadacct + `r.radacctid = ANY ($1::bigint[]) UNION ALL ` + ofArchive + `r.radacctid = ANY ($1::bigint[])) r`

	// The session that a subscriber had at a time with his own address: pools
	// keep no history of it. $1 address, $2 user name, $3 when.
	sqlSessionOfUser = `
SELECT ` + trafficColumns + `
FROM ((` + ofRadacct + userHadAt + ` ORDER BY r.acctstarttime DESC LIMIT 1) UNION ALL (` + ofArchive + userHadAt + ` ORDER BY r.acctstarttime DESC LIMIT 1)) r
ORDER BY r.acctstarttime DESC LIMIT 1`
	userHadAt = `r.username = $2::text AND r.acctstarttime <= $3::timestamptz AND (r.acctstoptime IS NULL OR r.acctstoptime > $3) AND ` + trafficHas

	// Sessions that had an address at a time, whoever gave it: those that began
	// shortly before it (an index has the time of the start), and all that are
	// open (an index has these). $1 address, $2 when, $3 since when.
	sqlSessionsOfAddress = `
SELECT ` + trafficColumns + `
FROM (` + ofRadacct + hadSince + ` UNION ALL ` + ofArchive + hadSince + `
      UNION ALL ` + ofRadacct + `r.acctstoptime IS NULL AND r.acctstarttime < $3 AND ` + trafficHas + `) r
ORDER BY r.acctstarttime DESC LIMIT 16`
	hadSince = `r.acctstarttime BETWEEN $3::timestamptz AND $2::timestamptz AND (r.acctstoptime IS NULL OR r.acctstoptime > $2) AND ` + trafficHas

	// Sessions that were seen in conflict over an address. $1 address.
	sqlSessionsInConflict = `SELECT coalesce(array_agg(c.radacctid), '{}') FROM radial.address_conflicts c WHERE c.address >>= $1::inet`

	sqlNASVRFs = `
SELECT n.nasname::text, coalesce(s.vrf_id, 1) FROM nas n LEFT JOIN radial.nas_settings s ON s.nas_id = n.id WHERE n.nasname IS NOT NULL ORDER BY n.id`

	sqlRadacctPatience = `SELECT set_config('statement_timeout', '30s', true)`
)

// SessionRecord is what radacct has of a session. Texts are as the device sent
// them.
type SessionRecord struct {
	RadacctID int64
	Session   string // Acct-Session-Id
	UniqueID  string
	User      string
	NAS       netip.Addr
	Port      string
	MAC       string       // Calling-Station-Id
	Start     time.Time    // zero: not known
	Updated   time.Time    // the last sign of life
	Stop      time.Time    // zero: open
	Cause     string       // Acct-Terminate-Cause
	Input     int64        // octets from the subscriber
	Output    int64        // octets to the subscriber
	Address   netip.Prefix // the first that it has; invalid: none
}

// whoHadByRadacct is for addresses that no pool has, and for times from before
// the history. Of a device that is told by a name the VRF is not known: 0.
func whoHadByRadacct(ctx context.Context, tx pgx.Tx, esc Escaper, q WhoHadQuery) ([]Tenure, error) {
	if _, err := tx.Exec(ctx, sqlRadacctPatience); err != nil {
		return nil, err
	}
	sessions, err := readSessions(ctx, tx, esc, sqlSessionsOfAddress, q.Address, q.At, q.At.Add(-q.Lookback))
	if isCode(err, codeQueryCanceled) && ctx.Err() == nil {
		return nil, fmt.Errorf("radacct has no index on addresses, and reading the sessions of %s took longer than 30s: look back less far (%w): %w",
			q.Lookback, err, aaa.ErrInvalid)
	}
	return tenuresOf(ctx, tx, q, sessions, err)
}

// whoWasInConflict is for addresses that were reserved: whoever used one all the same.
func whoWasInConflict(ctx context.Context, tx pgx.Tx, esc Escaper, q WhoHadQuery) ([]Tenure, error) {
	var ids []int64
	if err := tx.QueryRow(ctx, sqlSessionsInConflict, q.Address).Scan(&ids); err != nil || len(ids) == 0 {
		return nil, err
	}
	sessions, err := readSessions(ctx, tx, esc, sqlSessionsByID, ids)
	sessions = slices.DeleteFunc(sessions, func(s SessionRecord) bool {
		return s.Start.After(q.At) || !s.Stop.IsZero() && !s.Stop.After(q.At)
	})
	return tenuresOf(ctx, tx, q, sessions, err)
}

// tenuresOf makes tenures of sessions that had the address at the time.
func tenuresOf(ctx context.Context, tx pgx.Tx, q WhoHadQuery, sessions []SessionRecord, err error) ([]Tenure, error) {
	if err != nil || len(sessions) == 0 {
		return nil, err
	}
	devices, err := nasVRFs(ctx, tx)
	if err != nil {
		return nil, err
	}
	var all []Tenure
	for _, s := range sessions {
		t := Tenure{State: TenureBound, Address: netip.PrefixFrom(q.Address, q.Address.BitLen()), Source: SourceRadacct, Since: s.Start, Until: s.Stop,
			Now: s.Stop.IsZero(), Traffic: &s,
			Party: Party{User: s.User, MAC: ipam.NormaliseMAC(s.MAC), NAS: s.NAS, Port: s.Port, Session: s.Session, RadacctID: s.RadacctID}}
		if device := devices.Find(s.NAS); device != nil {
			t.VRF = device.Settings.VRF
		}
		if !t.Now {
			t.End = "stopped"
		}
		if s.Address.IsValid() && s.Address.Contains(q.Address) {
			t.Address = s.Address
		}
		all = append(all, t)
	}
	return all, nil
}

// nasVRFs is the table of devices with nothing but their VRF.
func nasVRFs(ctx context.Context, tx pgx.Tx) (*nas.Table, error) {
	rows, err := tx.Query(ctx, sqlNASVRFs)
	if err != nil {
		return nil, err
	}
	var devices []*nas.Device
	var name string
	var vrf int32
	_, err = pgx.ForEachRow(rows, []any{&name, &vrf}, func() error {
		if n, err := nas.ParseName(name); err == nil && n.Kind != nas.NameHost { // who cannot be read sends nothing either
			devices = append(devices, &nas.Device{Row: nas.Row{Name: name, Settings: nas.Settings{VRF: vrf}}, Prefix: n.Prefix})
		}
		return nil
	})
	table, _ := nas.NewTable(devices) // of two rows for an address the first counts
	return table, err
}

// addTraffic adds to each tenure what radacct has of its session.
func addTraffic(ctx context.Context, tx pgx.Tx, esc Escaper, q WhoHadQuery, all []Tenure) error {
	var ids []int64
	for _, t := range all {
		if t.Traffic == nil && t.RadacctID != 0 {
			ids = append(ids, t.RadacctID)
		}
	}
	byID := map[int64]*SessionRecord{}
	if len(ids) > 0 {
		sessions, err := readSessions(ctx, tx, esc, sqlSessionsByID, ids)
		if err != nil {
			return err
		}
		for _, s := range sessions {
			byID[s.RadacctID] = &s
		}
	}
	for i := range all {
		t := &all[i]
		if t.Traffic == nil {
			t.Traffic = byID[t.RadacctID]
		}
		if t.Traffic != nil || t.State != TenureReserved || t.User == "" {
			continue
		}
		sessions, err := readSessions(ctx, tx, esc, sqlSessionOfUser, q.Address, esc.EscapeUser(t.User), q.At)
		if err != nil {
			return err
		}
		if len(sessions) > 0 {
			t.Traffic = &sessions[0]
		}
	}
	return nil
}

func readSessions(ctx context.Context, tx pgx.Tx, esc Escaper, sql string, args ...any) ([]SessionRecord, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (s SessionRecord, err error) {
		var start, updated, stop *time.Time
		var address *netip.Prefix
		err = row.Scan(&s.RadacctID, &s.Session, &s.UniqueID, &s.User, &s.NAS, &s.Port, &s.MAC, &start, &updated, &stop, &s.Cause, &s.Input, &s.Output, &address)
		s.Session, s.User, s.Port, s.MAC = esc.Unescape(s.Session), esc.UnescapeUser(s.User), esc.UnescapeTwice(s.Port), esc.Unescape(s.MAC)
		s.Start, s.Updated, s.Stop = timeOf(start), timeOf(updated), timeOf(stop)
		if address != nil {
			s.Address = *address
		}
		return s, err
	})
}
