package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestServer(t *testing.T) {
	reg := prometheus.NewRegistry()
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "radial_test_total", Help: "x"})
	reg.MustRegister(counter)
	counter.Add(7)
	var trouble error
	s := NewServer(Options{Listen: "127.0.0.1:0"}, reg, []Check{
		{"always", func(context.Context) error { return nil }},
		{"database", func(context.Context) error { return trouble }},
	}, zap.NewNop())
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	base := "http://" + s.Addr()

	if code, body := get(t, base+"/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("healthz: %d %q", code, body)
	}
	if code, body := get(t, base+"/metrics"); code != 200 || !strings.Contains(body, "radial_test_total 7") {
		t.Errorf("metrics: %d %q", code, body)
	}
	if code, body := get(t, base+"/readyz"); code != 200 || !strings.Contains(body, `"ready":true`) {
		t.Errorf("readyz: %d %q", code, body)
	}
	trouble = errors.New("no connection")
	if code, body := get(t, base+"/readyz"); code != 503 || !strings.Contains(body, `{"name":"database","ready":false,"error":"no connection"}`) {
		t.Errorf("readyz in trouble: %d %q", code, body)
	}
	if code, _ := get(t, base+"/none"); code != 404 {
		t.Errorf("none: %d", code)
	}

	taken := NewServer(Options{Listen: s.Addr()}, reg, nil, zap.NewNop())
	if err := taken.Listen(); err == nil || !strings.Contains(err.Error(), "api.listen") {
		t.Errorf("port in use: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestNoListener(t *testing.T) {
	s := NewServer(Options{}, prometheus.NewRegistry(), nil, zap.NewNop())
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Run(ctx); err != nil || s.Addr() != "" {
		t.Errorf("%v, %q", err, s.Addr())
	}
}
