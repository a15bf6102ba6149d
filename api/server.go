package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

// Options are the settings of the HTTP listener.
type Options struct {
	Listen string // host:port; empty for none
}

// DefaultOptions listens on loopback: whoever wants it seen says so.
func DefaultOptions() Options { return Options{Listen: "127.0.0.1:8080"} }

// Check is one part that /readyz asks. Test returns nil when the part can do
// its work, else what is wrong.
type Check struct {
	Name string
	Test func(ctx context.Context) error
}

// Server is the HTTP listener.
type Server struct {
	opts     Options
	log      *zap.Logger
	listener net.Listener
	http     *http.Server
}

// NewServer serves the metrics of reg and the given checks.
func NewServer(opts Options, reg *prometheus.Registry, checks []Check, log *zap.Logger) *Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { readyz(w, r, checks, log) })
	return &Server{opts: opts, log: log, http: &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    1 << 16,
	}}
}

// Listen binds the address, so that a port in use is told before anything
// else starts. It does nothing when Options.Listen is empty.
func (s *Server) Listen() error {
	if s.opts.Listen == "" {
		return nil
	}
	l, err := net.Listen("tcp", s.opts.Listen)
	if err != nil {
		return fmt.Errorf("api.listen %s: %w", s.opts.Listen, err)
	}
	s.listener = l
	return nil
}

// Addr is the bound address, or empty.
func (s *Server) Addr() string {
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Run serves until ctx ends, then lets requests finish for up to 5 s.
func (s *Server) Run(ctx context.Context) error {
	if s.listener == nil {
		<-ctx.Done()
		return nil
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		stopped <- s.http.Shutdown(end)
	}()
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("api %s: %w", s.Addr(), err)
	}
	return <-stopped
}

// readyz answers 200 when every check passes, else 503; the body names each.
func readyz(w http.ResponseWriter, r *http.Request, checks []Check, log *zap.Logger) {
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	type part struct {
		Name  string `json:"name"`
		Ready bool   `json:"ready"`
		Error string `json:"error,omitempty"`
	}
	body := struct {
		Ready  bool   `json:"ready"`
		Checks []part `json:"checks"`
	}{Ready: true, Checks: []part{}}
	for _, c := range checks {
		p := part{Name: c.Name, Ready: true}
		if err := c.Test(ctx); err != nil {
			p.Ready, p.Error, body.Ready = false, err.Error(), false
		}
		body.Checks = append(body.Checks, p)
	}
	w.Header().Set("Content-Type", "application/json")
	if !body.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	if err := json.NewEncoder(w).Encode(body); err != nil {
		log.Debug("readyz: client went away", zap.Error(err))
	}
}
