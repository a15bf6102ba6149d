package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"

	"radial/aaa"
	"radial/nas"
	"radial/store"
	"radial/store/storetest"
)

func TestNASRows(t *testing.T) {
	db := storetest.New(t)
	db.Exec(`INSERT INTO radial.vrfs (id, name) VALUES (7, 'cust')`)
	db.Exec(`INSERT INTO nas (id, nasname, shortname, type, ports, secret, server, community, description) VALUES
		(2, '10.0.0.0/8', 'core', 'mikrotik', 3, 's3cret', 'default', 'public', 'd'), (1, 'host.example', 'h', 'other', NULL, 'x', NULL, NULL, NULL)`)
	db.Exec(`INSERT INTO radial.nas_settings (nas_id, require_message_authenticator, limit_proxy_state, coa_port, vrf_id, swap_octets, reject_delay_ms) VALUES (2, 'yes', 'no', 1700, 7, true, 0)`)
	three, zero := int32(3), time.Duration(0)
	want := []nas.Row{
		{ID: 1, Name: "host.example", ShortName: "h", Type: "other", Secret: "x", Settings: nas.Settings{CoAPort: 3799, VRF: 1}},
		{ID: 2, Name: "10.0.0.0/8", ShortName: "core", Type: "mikrotik", Ports: &three, Secret: "s3cret", Server: "default", Community: "public", Description: "d",
			Settings: nas.Settings{RequireMessageAuthenticator: nas.Yes, LimitProxyState: nas.No, CoAPort: 1700, VRF: 7, SwapOctets: true, RejectDelay: &zero}},
	}
	got, err := db.NASRows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}

	// Columns that later versions of FreeRADIUS read, in whatever type they are.
	db.Exec(`ALTER TABLE nas ADD COLUMN require_ma varchar(4), ADD COLUMN limit_proxy_state boolean`)
	db.Exec(`UPDATE nas SET require_ma = 'No', limit_proxy_state = true`)
	got, err = db.NASRows(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s := got[0].Settings; s.RequireMessageAuthenticator != nas.No || s.LimitProxyState != nas.Yes {
		t.Errorf("without settings of ours: %+v", s)
	}
	if s := got[1].Settings; s.RequireMessageAuthenticator != nas.Yes || s.LimitProxyState != nas.No {
		t.Errorf("ours go first: %+v", s)
	}
	db.Exec(`UPDATE radial.nas_settings SET require_message_authenticator = 'auto'`)
	if got, err = db.NASRows(t.Context()); err != nil || got[1].Settings.RequireMessageAuthenticator != nas.No {
		t.Errorf("ours say auto: %+v, %v", got[1].Settings, err)
	}
}

const serverID = "6f0c0e6e-27a4-4a3b-a5a4-1b2c3d4e5f60"

func TestPresence(t *testing.T) {
	db := storetest.New(t)
	device := &nas.Device{Row: nas.Row{ID: 5}, Learnt: &nas.Learnt{}}
	silent := &nas.Device{Row: nas.Row{ID: 6}, Learnt: &nas.Learnt{}}
	presence := func() *store.Presence {
		return &store.Presence{
			DB: db.DB, ID: serverID, Name: "rad1", Version: "1.0", Log: zap.NewNop(),
			Journal: func() int64 { return 42 },
			Devices: func() []*nas.Device { return []*nas.Device{device, silent, device} },
		}
	}
	stop := run(t, presence().Run)
	eventually(t, "hello", func() bool { return len(db.Rows(`SELECT 1 FROM radial.servers`)) == 1 })
	servers, err := db.Servers(t.Context())
	if err != nil || len(servers) != 1 || !servers[0].Alive() || servers[0].Name != "rad1" || servers[0].ID != serverID {
		t.Errorf("%+v, %v", servers, err)
	}
	device.Learnt.RequireMessageAuthenticator.Store(uint32(nas.Yes))
	device.Learnt.LastSeen.Store(1_700_000_000)
	eventually(t, "what was learnt", func() bool { return len(db.Rows(`SELECT 1 FROM radial.nas_state`)) == 1 })
	stop()
	servers, err = db.Servers(t.Context())
	if err != nil || servers[0].Alive() || servers[0].Stopped == nil || servers[0].JournalBytes != 42 {
		t.Errorf("after good-bye: %+v, %v", servers, err)
	}

	// after a restart
	fresh := &nas.Device{Row: nas.Row{ID: 5}, Learnt: &nas.Learnt{}}
	if err := db.RestoreLearnt(t.Context(), serverID, []*nas.Device{fresh, silent}); err != nil {
		t.Fatal(err)
	}
	if nas.Policy(fresh.Learnt.RequireMessageAuthenticator.Load()) != nas.Yes || fresh.Learnt.LastSeen.Load() != 1_700_000_000 || fresh.Learnt.LimitProxyState.Load() != 0 {
		t.Errorf("restored %v", fresh.Learnt)
	}
	if err := db.ForgetServer(t.Context(), store.Change{Actor: "cli:test", Action: "server.forget"}, "rad1"); err != nil {
		t.Error(err)
	}
	if err := db.ForgetServer(t.Context(), store.Change{Actor: "cli:test", Action: "server.forget"}, "rad1"); !errors.Is(err, aaa.ErrNotFound) {
		t.Errorf("forgotten already: %v", err)
	}
	if rows := db.Rows(`SELECT * FROM radial.nas_state`); len(rows) != 0 {
		t.Errorf("left behind: %v", rows)
	}
}

// A server whose row was forgotten while it lives writes it again.
func TestPresenceAfterOutage(t *testing.T) {
	db := storetest.New(t)
	p := &store.Presence{DB: db.DB, ID: serverID, Name: "rad1", Version: "1.0", Log: zap.NewNop()}
	db.Away(func() {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	run(t, p.Run)
	eventually(t, "hello", func() bool { return len(db.Rows(`SELECT 1 FROM radial.servers`)) == 1 })
}
