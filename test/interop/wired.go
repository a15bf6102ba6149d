package interop

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Wired is a place where a line meets a switch: two network namespaces with a
// veth pair between them, hostapd (an authenticator of 802.1X, and so a NAS) at
// one end and wpa_supplicant at the other, both Debian's. A second pair leads
// from the NAS to this machine, where its servers are.
type Wired struct {
	Server, NAS string // addresses of the pair between this machine and the NAS

	nas, line string // namespaces
	dir       string
}

// NAS says how hostapd is to be.
type NAS struct {
	AuthAddr, AcctAddr string // host:port of its servers
	Secret             string
	DASPort            int // where it takes Disconnect
}

// NewWired lays the lines. It skips the test where that is not possible, and
// fails it instead where INTEROP_ALL is set.
func NewWired(t testing.TB) *Wired {
	t.Helper()
	lacks := func(what string) {
		t.Helper()
		if os.Getenv("INTEROP_ALL") != "" {
			t.Fatalf("%s: INTEROP_ALL forbids to skip", what)
		}
		t.Skipf("SKIPPED: %s", what)
	}
	if os.Getuid() != 0 {
		lacks("needs root, for network namespaces")
	}
	for _, tool := range []string{"ip", "hostapd", "wpa_supplicant"} {
		if _, err := exec.LookPath(tool); err != nil {
			lacks("needs " + tool + ": apt-get install iproute2 hostapd wpasupplicant")
		}
	}
	tag := fmt.Sprintf("%x", os.Getpid()&0xffffff)
	// 198.18.0.0/15 is for tests between networks (RFC 2544), so nothing else here has it.
	third := os.Getpid() & 0xff
	w := &Wired{
		Server: fmt.Sprintf("198.18.%d.1", third), NAS: fmt.Sprintf("198.18.%d.2", third),
		nas: "rnas" + tag, line: "rline" + tag, dir: t.TempDir(),
	}
	up, down := "ru"+tag, "rd"+tag // interface names have 15 characters at most
	lay := func(command string) {  // what a container may forbid, and a chroot cannot do, is not for us to mend
		t.Helper()
		words := strings.Fields(command)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			lacks("needs network namespaces: " + command + ": " + strings.TrimSpace(string(out)))
		}
	}
	for _, ns := range []string{w.nas, w.line} {
		lay("ip netns add " + ns)
		t.Cleanup(func() { run(t, "ip", "netns", "delete", ns) })
	}
	for _, command := range []string{
		"ip link add " + up + " type veth peer name wan netns " + w.nas,
		"ip addr add " + w.Server + "/30 dev " + up,
		"ip link set " + up + " up",
		"ip -n " + w.nas + " addr add " + w.NAS + "/30 dev wan",
		"ip -n " + w.nas + " link set wan up",
		"ip -n " + w.nas + " link set lo up",
		"ip link add " + down + " netns " + w.nas + " type veth peer name eth0 netns " + w.line,
		"ip -n " + w.nas + " link set " + down + " name port1",
		"ip -n " + w.nas + " link set port1 up",
		"ip -n " + w.line + " link set eth0 up",
		"ip netns exec " + w.nas + " test -e /sys/class/net/port1",
	} {
		lay(command)
	}
	return w
}

func run(t testing.TB, command ...string) {
	t.Helper()
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, out)
	}
}

// MAC is the address of the interface at the line's end, as hostapd writes it.
func (w *Wired) MAC(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("ip", "netns", "exec", w.line, "cat", "/sys/class/net/eth0/address").Output()
	if err != nil {
		t.Fatal(err)
	}
	mac, err := net.ParseMAC(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ToUpper(strings.ReplaceAll(mac.String(), ":", "-"))
}

// StartNAS runs hostapd until the test ends.
func (w *Wired) StartNAS(t testing.TB, n NAS) *Daemon {
	t.Helper()
	server := func(kind, at string) string {
		host, port, err := net.SplitHostPort(at)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s_server_addr=%s\n%s_server_port=%s\n%s_server_shared_secret=%s\n", kind, host, kind, port, kind, n.Secret)
	}
	config := "interface=port1\ndriver=wired\nieee8021x=1\neapol_version=2\neap_reauth_period=0\n" +
		"own_ip_addr=" + w.NAS + "\nnas_identifier=hostapd-wired\n" + server("auth", n.AuthAddr) + server("acct", n.AcctAddr) +
		"radius_acct_interim_interval=60\n" +
		fmt.Sprintf("radius_das_port=%d\nradius_das_client=%s %s\n", n.DASPort, w.Server, n.Secret) +
		"radius_das_require_event_timestamp=1\nradius_das_require_message_authenticator=1\nradius_das_time_window=300\n"
	return w.daemon(t, w.nas, "AP-ENABLED", "hostapd", "-d", w.file(t, "hostapd.conf", config))
}

// Plug runs wpa_supplicant, who logs in by EAP-MD5, until the test ends.
func (w *Wired) Plug(t testing.TB, user, password string) *Daemon {
	t.Helper()
	config := fmt.Sprintf("ap_scan=0\nnetwork={\n\tkey_mgmt=IEEE8021X\n\teap=MD5\n\tidentity=%q\n\tpassword=%q\n\teapol_flags=0\n}\n", user, password)
	return w.daemon(t, w.line, "Successfully initialized wpa_supplicant", "wpa_supplicant", "-D", "wired", "-i", "eth0", "-c", w.file(t, "supplicant.conf", config))
}

func (w *Wired) file(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Daemon is a program that runs in a namespace.
type Daemon struct {
	cmd    *exec.Cmd
	exited chan struct{}

	mu  sync.Mutex
	log []string
}

// daemon runs a program and waits for what it prints when it is ready.
func (w *Wired) daemon(t testing.TB, namespace, ready string, command ...string) *Daemon {
	t.Helper()
	d := &Daemon{cmd: exec.Command("ip", append([]string{"netns", "exec", namespace}, command...)...), exited: make(chan struct{})}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.cmd.Stderr = d.cmd.Stdout
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			d.mu.Lock()
			d.log = append(d.log, lines.Text())
			d.mu.Unlock()
		}
		_ = d.cmd.Wait() // how it ended is in its log
		close(d.exited)
	}()
	t.Cleanup(func() {
		d.Stop()
		if t.Failed() {
			t.Logf("%s said:\n%s", command[0], strings.Join(d.Log(), "\n"))
		}
	})
	for deadline := time.Now().Add(20 * time.Second); !d.Said(ready); {
		select {
		case <-d.exited:
			t.Fatalf("%s ended at once", command[0])
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not ready: it does not say %q", command[0], ready)
		}
	}
	return d
}

// Log returns the lines printed so far.
func (d *Daemon) Log() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.log...)
}

// Said tells whether a line holds text.
func (d *Daemon) Said(text string) bool {
	for _, line := range d.Log() {
		if strings.Contains(line, text) {
			return true
		}
	}
	return false
}

// Signal sends the program a signal.
func (d *Daemon) Signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := d.cmd.Process.Signal(sig); err != nil {
		t.Error(err)
	}
}

// Stop ends the program, as an operator does.
func (d *Daemon) Stop() {
	_ = d.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-d.exited:
	case <-time.After(5 * time.Second):
		_ = d.cmd.Process.Kill()
		<-d.exited
	}
}
