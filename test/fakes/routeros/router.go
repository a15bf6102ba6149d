package routeros

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Config says what router is played.
type Config struct {
	Identity string // default MikroTik
	Version  string // as /system/resource prints it; default "7.15.3 (stable)"
	User     string // default admin
	Password string
	Address  netip.Addr // what RADIUS is sent from, and NAS-IP-Address
	// ReadOnly users may print and nothing else.
	ReadOnly bool
	Now      func() time.Time // default time.Now
}

// Router is a router: its menus, its clients, its sessions. Its methods may be
// called at any time, also while clients work.
type Router struct {
	config  Config
	version version
	now     func() time.Time
	menus   map[string]*menu

	mu        sync.Mutex
	items     map[string][]*item // by path, in order
	lastID    uint32
	booted    time.Time
	listeners map[*listener]struct{}
	clients   map[*client]context.CancelFunc
	faults    []*Fault
	sentences int // what clients have said since the start
	done      []string
	sessions  map[string]*Session // by id in /ppp/active
	dialled   uint32
	boots     uint32
	incoming  Incoming
	asked     []string

	radiusID atomic.Uint32
	counts   map[string]*radiusCount // by id in /radius
}

// item is one row of a menu.
type item struct {
	id     string // *1A; "" of settings
	values map[string]string
	began  time.Time // of a session: its uptime is reckoned from there
	// session is the id in /ppp/active of whose interface this is; its counters are
	// the session's.
	session string
}

// listener is a client that waits for the changes of a menu.
type listener struct {
	path    string
	send    chan map[string]string
	stop    context.CancelFunc
	stopped <-chan struct{} // closed by stop, and with the connection
}

// New makes a router as it comes out of its box, with ether1 to ether5 and the
// default profiles.
func New(c Config) (*Router, error) {
	if c.Identity == "" {
		c.Identity = "MikroTik"
	}
	if c.Version == "" {
		c.Version = "7.15.3 (stable)"
	}
	if c.User == "" {
		c.User = "admin"
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	menus, err := readMenus(menusText)
	if err != nil {
		return nil, err
	}
	r := &Router{config: c, version: parseVersion(c.Version), now: c.Now, menus: menus, items: map[string][]*item{}, counts: map[string]*radiusCount{}, listeners: map[*listener]struct{}{}, clients: map[*client]context.CancelFunc{}, sessions: map[string]*Session{}}
	for path, m := range menus {
		if m.since != (version{}) && r.version.before(m.since) {
			delete(menus, path)
			continue
		}
		m.drop(r.version)
		if m.single {
			r.items[path] = []*item{{values: m.standards()}}
		}
	}
	r.booted = r.now()
	menus["/ppp/active"].removeByRouter = func(r *Router, i *item) {
		if s := r.sessions[i.id]; s != nil {
			go s.End(context.Background(), causeAdminReset) // it wants the router's lock, which we have
		}
	}
	menus["/ip/hotspot/active"].removeByRouter = func(*Router, *item) {}
	r.box()
	return r, nil
}

// drop takes away the fields that come with a later version.
func (m *menu) drop(v version) {
	m.fields = slices.DeleteFunc(m.fields, func(f *field) bool {
		late := f.since != version{} && v.before(f.since)
		if late {
			delete(m.byName, f.name)
		}
		return late
	})
}

func (m *menu) standards() map[string]string {
	values := map[string]string{}
	for _, f := range m.fields {
		if f.hasStandard {
			values[f.name] = f.standard
		}
	}
	return values
}

// box puts in what every new router has.
func (r *Router) box() {
	put := func(path, id string, values map[string]string) {
		all := r.menus[path].standards()
		maps.Copy(all, values)
		r.items[path] = append(r.items[path], &item{id: id, values: all})
	}
	r.items["/system/identity"][0].values["name"] = r.config.Identity
	r.items["/system/resource"][0].values["version"] = r.config.Version
	put("/ppp/profile", "*0", map[string]string{"name": "default", "default": "true", "change-tcp-mss": "yes"})
	put("/ppp/profile", "*FFFFFFFE", map[string]string{"name": "default-encryption", "default": "true", "use-encryption": "yes"})
	put("/ip/hotspot/profile", "*0", map[string]string{"name": "default", "default": "true"})
	put("/ip/hotspot/user/profile", "*0", map[string]string{"name": "default", "default": "true"})
	for n := 1; n <= 5; n++ {
		put("/interface", "*"+strconv.Itoa(n), map[string]string{
			"name": fmt.Sprintf("ether%d", n), "default-name": fmt.Sprintf("ether%d", n), "mac-address": fmt.Sprintf("48:A9:8A:00:00:%02X", n),
		})
	}
	for n, s := range []struct{ name, port string }{
		{"telnet", "23"}, {"ftp", "21"}, {"www", "80"}, {"ssh", "22"}, {"www-ssl", "443"}, {"api", "8728"}, {"winbox", "8291"}, {"api-ssl", "8729"},
	} {
		put("/ip/service", "*"+strconv.Itoa(n), map[string]string{"name": s.name, "port": s.port, "disabled": strconv.FormatBool(s.name == "www-ssl")})
	}
	for n, name := range []string{"default", "default-small", "ethernet-default"} {
		put("/queue/type", "*"+strconv.Itoa(n), map[string]string{"name": name})
	}
	put("/user", "*1", map[string]string{"name": r.config.User, "group": "full", "password": r.config.Password})
	r.lastID = 0x10
}

// Items are the items of a menu as a client with all rights sees them, in
// their order; for a test to look at. Settings are one item without .id.
func (r *Router) Items(path string) []map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []map[string]string
	for _, i := range r.items[path] {
		out = append(out, r.shown(path, i))
	}
	return out
}

// Done are the commands that have changed something, in their order, as
// "/ppp/secret/add name=alice service=pppoe"; passwords are ***.
func (r *Router) Done() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.done)
}

// Put makes an item past all rules, as if somebody had made it long ago, and
// returns its id. An unknown field or value is an error.
func (r *Router) Put(path string, values map[string]string) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := r.menus[path]
	if m == nil || m.single {
		return "", fmt.Errorf("put %s: no such list", path)
	}
	all := m.standards()
	for name, value := range values {
		f := m.byName[name]
		if f == nil {
			return "", fmt.Errorf("put %s: no field %q", path, name)
		}
		text, err := r.judge(f, value)
		if err != nil {
			return "", fmt.Errorf("put %s %s=%q: %w", path, name, value, err)
		}
		all[name] = text
	}
	i := &item{id: r.nextID(), values: all}
	r.items[path] = append(r.items[path], i)
	r.tell(path, i, false)
	return i.id, nil
}

// Set changes settings or the item of a name, past all rules.
func (r *Router) Set(path, name string, values map[string]string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := r.named(path, name)
	if m := r.menus[path]; m != nil && m.single {
		i = r.items[path][0]
	}
	if i == nil {
		return fmt.Errorf("set %s: nothing there is named %q", path, name)
	}
	maps.Copy(i.values, values)
	r.tell(path, i, false)
	return nil
}

// Drop removes an item past all rules.
func (r *Router) Drop(path, id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.take(path, id)
}

func (r *Router) take(path, id string) *item {
	for n, i := range r.items[path] {
		if i.id == id {
			r.items[path] = slices.Delete(r.items[path], n, n+1)
			r.tell(path, i, true)
			return i
		}
	}
	return nil
}

func (r *Router) nextID() string {
	r.lastID++
	return fmt.Sprintf("*%X", r.lastID)
}

// named finds an item by its name.
func (r *Router) named(path, name string) *item {
	for _, i := range r.items[path] {
		if i.values["name"] == name && name != "" {
			return i
		}
	}
	return nil
}

// byID finds an item by its id; "" is none.
func (r *Router) byID(path, id string) *item {
	for _, i := range r.items[path] {
		if i.id == id && id != "" {
			return i
		}
	}
	return nil
}

// shown is an item as it is printed: its id, and every field that has a value.
func (r *Router) shown(path string, i *item) map[string]string {
	out := maps.Clone(i.values)
	if i.id != "" {
		out[".id"] = i.id
	}
	if !i.began.IsZero() {
		out["uptime"] = timeText(r.now().Sub(i.began).Truncate(time.Second))
	}
	if s := r.sessions[i.session]; s != nil {
		up, down := s.octets()
		out["rx-byte"], out["tx-byte"] = strconv.FormatUint(up, 10), strconv.FormatUint(down, 10)
	}
	switch path {
	case "/system/resource":
		out["uptime"] = timeText(r.now().Sub(r.booted).Truncate(time.Second))
	case "/system/clock":
		now := r.now().UTC()
		out["time"], out["date"] = now.Format("15:04:05"), now.Format("2006-01-02")
		if r.version.before(version{7, 10}) {
			out["date"] = strings.ToLower(now.Format("Jan/02/2006"))
		}
	}
	return out
}

// tell tells those who listen to a menu.
func (r *Router) tell(path string, i *item, dead bool) {
	row := map[string]string{".id": i.id, ".dead": "yes"}
	if !dead {
		row = r.shown(path, i)
	}
	for l := range r.listeners {
		if l.path != path {
			continue
		}
		select {
		case l.send <- row:
		default: // a client that does not read is cut off, as by a full buffer
			close(l.send)
			delete(r.listeners, l)
		}
	}
}
