package harness

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Config says how a server is started.
type Config struct {
	DatabaseURL string            // empty: the embedded one in DataDir
	DataDir     string            // empty: a folder of the test
	Set         map[string]string // RADIAL_… variables
	Args        []string          // further arguments of serve
}

// Server is a running `radial serve`.
type Server struct {
	Auth, Acct, API string // host:port
	DataDir         string
	cmd             *exec.Cmd
	env             []string
	exited          chan struct{}
	exitErr         error

	mu     sync.Mutex
	logs   []string
	stdout bytes.Buffer
}

// Write keeps what the server prints on its standard output.
func (s *Server) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stdout.Write(b)
}

// Stdout returns what the server has printed so far, without its log.
func (s *Server) Stdout() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stdout.String()
}

// FreeUDP returns a loopback address, host:port, that nobody listens on. Its port
// lies below those that the kernel hands out by itself: no client takes it while
// a server of a test is down and is to come back to it.
func FreeUDP(t testing.TB) string {
	t.Helper()
	for range 100 {
		c, err := net.ListenPacket("udp4", fmt.Sprintf("127.0.0.1:%d", 10000+rand.IntN(22000)))
		if err != nil {
			continue // taken: the next one
		}
		defer c.Close()
		return c.LocalAddr().String()
	}
	t.Fatal("no free UDP port among 100 between 10000 and 32000")
	return ""
}

// readyLine is what serve logs once it answers.
type readyLine struct {
	Msg  string   `json:"msg"`
	Auth []string `json:"auth"`
	Acct []string `json:"acct"`
	API  string   `json:"api"`
}

// Start runs `radial serve` on free loopback ports and waits until it answers.
// It is ended with the test, if it still runs then.
func Start(t testing.TB, c Config) *Server {
	t.Helper()
	if c.DataDir == "" {
		c.DataDir = t.TempDir()
	}
	set := map[string]string{
		"RADIAL_DATA_DIR": c.DataDir, "RADIAL_LOG_FORMAT": "json", "RADIAL_DATABASE_URL": c.DatabaseURL,
		"RADIAL_RADIUS_AUTH_LISTEN": FreeUDP(t), "RADIAL_RADIUS_ACCT_LISTEN": FreeUDP(t), "RADIAL_API_LISTEN": "127.0.0.1:0",
	}
	for k, v := range c.Set {
		set[k] = v
	}
	s := &Server{DataDir: c.DataDir, exited: make(chan struct{})}
	for k, v := range set {
		s.env = append(s.env, k+"="+v)
	}
	s.cmd = exec.Command(Binary(t), append([]string{"serve"}, c.Args...)...)
	s.cmd.Env = append(cleanEnv(), s.env...)
	s.cmd.Stdout = s
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan readyLine, 1)
	go s.follow(stderr, ready)
	t.Cleanup(func() {
		s.Stop(t)
		if t.Failed() {
			t.Logf("server's log:\n%s", strings.Join(s.Logs(), "\n"))
		}
	})
	select {
	case r := <-ready:
		s.Auth, s.Acct, s.API = r.Auth[0], r.Acct[0], r.API
	case <-s.exited:
		t.Fatalf("server ended before it was ready: %v\n%s", s.exitErr, strings.Join(s.Logs(), "\n"))
	case <-time.After(60 * time.Second):
		t.Fatalf("server not ready in 60 s:\n%s", strings.Join(s.Logs(), "\n"))
	}
	return s
}

func (s *Server) follow(stderr io.Reader, ready chan<- readyLine) {
	defer close(s.exited)
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		s.mu.Lock()
		s.logs = append(s.logs, lines.Text())
		s.mu.Unlock()
		var r readyLine
		if json.Unmarshal(lines.Bytes(), &r) == nil && r.Msg == "ready" {
			ready <- r
		}
	}
	s.exitErr = s.cmd.Wait()
}

// Logs returns the lines logged so far.
func (s *Server) Logs() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.logs...)
}

// Pid is the process's id.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Stop ends the server by SIGTERM and waits; a server that already ended is
// fine. An exit code other than 0 fails the test.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	select {
	case <-s.exited:
		return
	default:
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("SIGTERM: %v", err)
	}
	select {
	case <-s.exited:
		if s.exitErr != nil {
			t.Errorf("server after SIGTERM: %v", s.exitErr)
		}
	case <-time.After(30 * time.Second):
		t.Error("server did not end within 30 s of SIGTERM")
		s.Kill(t)
	}
}

// Wait waits for the end of a server that was told to, and returns what its
// exit code says.
func (s *Server) Wait(t testing.TB, deadline time.Duration) error {
	t.Helper()
	select {
	case <-s.exited:
	case <-time.After(deadline):
		t.Fatalf("server did not end within %v", deadline)
	}
	return s.exitErr
}

// Kill ends the server as a power cut would.
func (s *Server) Kill(t testing.TB) {
	t.Helper()
	if err := s.cmd.Process.Kill(); err != nil {
		t.Errorf("SIGKILL: %v", err)
	}
	<-s.exited
}

// Signal sends any other signal, such as SIGHUP.
func (s *Server) Signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("%v: %v", sig, err)
	}
}

// Radial runs a command of the CLI with the server's own settings.
func (s *Server) Radial(t testing.TB, args ...string) Output {
	t.Helper()
	return CLI(t, s.env, args...)
}

// Metric sums the samples of a metric whose labels contain all of the given
// ones, each as name="value". A metric without samples is 0.
func (s *Server) Metric(t testing.TB, name string, labels ...string) float64 {
	t.Helper()
	resp, err := http.Get("http://" + s.API + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("/metrics: %s, %v", resp.Status, err)
	}
	sum, err := sumMetric(string(body), name, labels)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func sumMetric(text, name string, labels []string) (float64, error) {
	sum := 0.0
lines:
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), name)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(rest, l) {
				continue lines
			}
		}
		v, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			return 0, fmt.Errorf("metric line %q: %w", line, err)
		}
		sum += v
	}
	return sum, nil
}

// Eventually polls until ok, or fails the test after the deadline.
func Eventually(t testing.TB, deadline time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(deadline); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", deadline, what)
		}
	}
}
