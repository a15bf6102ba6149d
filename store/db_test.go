package store_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/zap"

	"radial/aaa"
	"radial/nas"
	"radial/store"
	"radial/store/storetest"
)

func TestOptionsValidate(t *testing.T) {
	err := store.Options{
		URL: "postgres://u:hunter2@h:port/db", Pooler: "session", DirectURL: "postgres://u:hunter2@h:port/db",
		MaxConns: -1, Escaping: "html", TimeZone: "Prague",
	}.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"url: ", `pooler "session": want none or transaction`, "direct_url: ", "max_conns -1", `escaping "html"`, `time_zone "Prague"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("tells the password: %v", err)
	}
	if _, err := store.Open(t.Context(), store.Options{}, zap.NewNop()); !errors.Is(err, aaa.ErrInvalid) {
		t.Errorf("Open without a URL: %v", err)
	}
}

// Opening needs no database; using it says that it is away, and not the password.
func TestOpenWithoutDatabase(t *testing.T) {
	db, err := store.Open(t.Context(), store.Options{URL: nas.Secret("postgres://u:hunter2@/db?host=" + url.QueryEscape(t.TempDir()))}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Ping(t.Context())
	if !errors.Is(err, aaa.ErrUnavailable) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("ping: %v", err)
	}
}

// Several hosts: the first that answers and takes writes.
func TestSeveralHosts(t *testing.T) {
	db := storetest.New(t)
	u, err := url.Parse(db.URL())
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("host", t.TempDir()+","+q.Get("host"))
	q.Set("port", q.Get("port")+","+q.Get("port"))
	q.Set("target_session_attrs", "read-write")
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20")
	other, err := store.Open(t.Context(), store.Options{URL: nas.Secret(u.String())}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if n := db.Rows(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'radial'`)[0][0]; n == "0" {
		t.Error("the connection does not say who it is")
	}
}

// A connection whose server has become a standby is given up, so that the next
// one finds the new primary.
func TestStandbyIsLeft(t *testing.T) {
	db := storetest.New(t, storetest.WithOptions(store.Options{MaxConns: 1}))
	pid := func() (n int) {
		if err := db.Pool().QueryRow(t.Context(), `SELECT pg_backend_pid()`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := pid()
	if _, err := db.Pool().Exec(t.Context(), `SET default_transaction_read_only = on`); err != nil {
		t.Fatal(err)
	}
	if err := db.SetSetting(t.Context(), "k", "v"); !errors.Is(err, aaa.ErrUnavailable) {
		t.Errorf("read-only: %v", err)
	}
	if pid() == before {
		t.Error("the connection is still used")
	}
	if err := db.SetSetting(t.Context(), "k", "v"); err != nil {
		t.Error(err)
	}
}

func TestSettings(t *testing.T) {
	db := storetest.New(t)
	if _, err := db.Setting(t.Context(), "k"); !errors.Is(err, aaa.ErrNotFound) {
		t.Errorf("not there: %v", err)
	}
	if v, err := db.SettingOnce(t.Context(), "k", "first"); v != "first" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	if v, err := db.SettingOnce(t.Context(), "k", "second"); v != "first" || err != nil {
		t.Errorf("%q, %v", v, err)
	}
	if err := db.SetSetting(t.Context(), "k", "third"); err != nil {
		t.Error(err)
	}
	all, err := db.Settings(t.Context())
	if err != nil || all["k"] != "third" || all["escaping"] != "safe-characters" || all["timezone"] == "" {
		t.Errorf("%v, %v", all, err)
	}
}
