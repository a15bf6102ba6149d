package aaa

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// RouterStatus says whether a router is to be talked to, and whether that works.
type RouterStatus string

// The statuses. Error is set by a look that failed, and taken away by one that
// went well; inactive by an operator alone: nobody talks to it then.
const (
	RouterActive   RouterStatus = "active"
	RouterInactive RouterStatus = "inactive"
	RouterError    RouterStatus = "error"
)

// Ports of RouterOS's API.
const (
	RouterPort    = 8728
	RouterPortTLS = 8729
)

// RouterPasswordUse is what a router's password is sealed for (nas.Sealer).
const RouterPasswordUse = "router password"

// Router is a router that is managed by its API, as an operator sees it.
type Router struct {
	ID          int64        `json:"id"`
	Name        string       `json:"name"`
	Address     string       `json:"address"` // an address or a host name
	Port        uint16       `json:"api_port"`
	TLS         bool         `json:"tls"`
	Pin         string       `json:"pin"` // SHA-256 of its certificate in hex; "": the system's authorities judge
	Username    string       `json:"username"`
	Password    []byte       `json:"-"`      // sealed
	NASID       int64        `json:"nas_id"` // 0: linked to no device
	NAS         string       `json:"nas"`    // nasname of that device
	Description string       `json:"description"`
	Status      RouterStatus `json:"status"`
	Created     time.Time    `json:"created_at"`
	Updated     time.Time    `json:"updated_at"`
	RouterHealth
}

// RouterHealth is what the last look at a router found.
type RouterHealth struct {
	Checked  *time.Time    `json:"checked_at"`
	Problem  string        `json:"problem"` // "": it answered
	Identity string        `json:"identity"`
	Version  string        `json:"version"`
	Board    string        `json:"board"`
	Uptime   time.Duration `json:"-"`
	Latency  time.Duration `json:"-"` // of a command
}

// Failed tells whether the look failed.
func (h RouterHealth) Failed() bool { return h.Problem != "" }

// RouterChange is what an operator says of a router. Nil fields are left as they
// are.
type RouterChange struct {
	Name        *string // another name for a router that there is
	Address     *string
	Port        *uint16
	TLS         *bool
	Pin         *string // as a router shows it, with colons or without; "" takes it away
	Username    *string
	Password    []byte  // sealed; nil leaves it
	NAS         *string // the device's name; "" links to none
	Description *string
	Status      *RouterStatus
}

// LooksFor is the name under which the device is to be looked for: what was
// said, else, for a new router, its own address.
func (c RouterChange) LooksFor(before *Router) string {
	switch {
	case c.NAS != nil:
		return *c.NAS
	case before == nil && c.Address != nil:
		return *c.Address
	}
	return ""
}

// AddRouter makes a new router; found are the devices under the name that
// LooksFor gave.
func (c RouterChange) AddRouter(name string, before *Router, found []Device) (RouterDelta, error) {
	if before != nil {
		return RouterDelta{}, fmt.Errorf("router %q exists already; change it with router set: %w", name, ErrConflict)
	}
	if c.Address == nil || c.Username == nil || c.Password == nil {
		return RouterDelta{}, fmt.Errorf("router %q: a router needs an address, --username and a password (--password-stdin, or --password): %w", name, ErrInvalid)
	}
	return c.change(nil, Router{Name: name, Port: RouterPort, Status: RouterActive}, found)
}

// SetRouter changes what c names.
func (c RouterChange) SetRouter(name string, before *Router, found []Device) (RouterDelta, error) {
	if before == nil {
		return RouterDelta{}, fmt.Errorf("router %q: %w", name, ErrNotFound)
	}
	return c.change(before, *before, found)
}

// DeleteRouter forgets a router; on the router itself nothing changes.
func DeleteRouter(name string, before *Router, _ []Device) (RouterDelta, error) {
	if before == nil {
		return RouterDelta{}, fmt.Errorf("router %q: %w", name, ErrNotFound)
	}
	d := RouterDelta{Save: before, Remove: true}
	return d.audited(routerFields(before), nil)
}

func (c RouterChange) change(before *Router, after Router, found []Device) (RouterDelta, error) {
	assign(&after.Name, c.Name)
	assign(&after.Address, c.Address)
	assign(&after.TLS, c.TLS)
	if c.TLS != nil && c.Port == nil && (before == nil || before.Port == routerPort(before.TLS)) {
		after.Port = routerPort(after.TLS) // the usual port follows
	}
	assign(&after.Port, c.Port)
	assign(&after.Username, c.Username)
	assign(&after.Description, c.Description)
	assign(&after.Status, c.Status)
	if c.Password != nil {
		after.Password = c.Password
	}
	if c.Pin != nil {
		pin, err := ParsePin(*c.Pin)
		if err != nil {
			return RouterDelta{}, err
		}
		after.Pin = pin
	}
	if err := c.link(&after, found); err != nil {
		return RouterDelta{}, err
	}
	if err := after.check(); err != nil {
		return RouterDelta{}, err
	}
	var secrets []string
	if c.Password != nil {
		secrets = []string{"password"}
	}
	d := RouterDelta{Save: &after}
	return d.audited(routerFields(before), routerFields(&after), secrets...)
}

// link finds the device.
func (c RouterChange) link(r *Router, found []Device) error {
	switch {
	case c.NAS == nil && (r.ID != 0 || len(found) != 1):
		return nil // a new router whose address is no device's: linked later
	case c.NAS != nil && *c.NAS == "":
		r.NASID, r.NAS = 0, ""
		return nil
	case c.NAS != nil && len(found) == 0:
		return fmt.Errorf("nas %q: no such device; radial nas list shows them, radial nas add makes one: %w", *c.NAS, ErrNotFound)
	}
	d, err := oneDevice(c.LooksFor(nil), found)
	if err != nil {
		return err
	}
	r.NASID, r.NAS = d.ID, d.Name
	return nil
}

var hostForm = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*\.?$`)

// dottedForm is what nobody means as a host name: its last label is a number (RFC
// 3696 section 2).
var dottedForm = regexp.MustCompile(`^([A-Za-z0-9-]+\.)*[0-9]+\.?$`)

func (r *Router) check() error {
	_, err := netip.ParseAddr(r.Address)
	switch {
	case !plainName(r.Name, 100):
		return fmt.Errorf("router %q: want a name of 1 to 100 printable characters without blanks around: %w", r.Name, ErrInvalid)
	case err != nil && dottedForm.MatchString(r.Address):
		return fmt.Errorf("address %q: is neither an IP address nor a host name that resolves: %w", r.Address, ErrInvalid)
	case err != nil && (len(r.Address) > 253 || !hostForm.MatchString(r.Address)):
		return fmt.Errorf("address %q: want an IP address or a host name, the port goes into --port: %w", r.Address, ErrInvalid)
	case r.Port == 0:
		return fmt.Errorf("api port 0: want 1 to 65535 (%d, or %d with --tls): %w", RouterPort, RouterPortTLS, ErrInvalid)
	case !plainName(r.Username, 100):
		return fmt.Errorf("username %q: want the name of a user of the router, 1 to 100 printable characters: %w", r.Username, ErrInvalid)
	case !r.TLS && r.Pin != "":
		return fmt.Errorf("pin %s: without --tls a router shows no certificate: %w", r.Pin, ErrInvalid)
	case r.Status != RouterActive && r.Status != RouterInactive && r.Status != RouterError:
		return fmt.Errorf("status %q: want active or inactive: %w", r.Status, ErrInvalid)
	}
	return nil
}

func routerPort(tls bool) uint16 {
	if tls {
		return RouterPortTLS
	}
	return RouterPort
}

// routerFields are those of a router that an operator sets, for the audit.
func routerFields(r *Router) any {
	if r == nil {
		return nil
	}
	plain := *r
	plain.RouterHealth = RouterHealth{}
	return plain
}

// ParsePin reads a certificate's SHA-256 as /certificate print shows it or as
// openssl does: 64 hexadecimal digits, with colons or without. "" is none.
func ParsePin(text string) (string, error) {
	pin := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(text), ":", ""))
	if pin != "" && !pinForm.MatchString(pin) {
		return "", fmt.Errorf("pin %q: want the SHA-256 of the router's certificate, 64 hexadecimal digits with or without colons: %w", text, ErrInvalid)
	}
	return pin, nil
}

var pinForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

// plainName tells whether a name can be typed, shown and found again.
func plainName(name string, most int) bool {
	return name != "" && len([]rune(name)) <= most && strings.TrimSpace(name) == name &&
		!strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}

// RoutersToLookAt are those that are not inactive.
func RoutersToLookAt(all []Router) []Router {
	return slices.DeleteFunc(all, func(r Router) bool { return r.Status == RouterInactive })
}

// CheckRouters looks at all routers that are not inactive, and keeps what it
// finds.
type CheckRouters struct{}

// Kind is the job's name in the queue.
func (CheckRouters) Kind() string { return "check_routers" }
