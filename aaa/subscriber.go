package aaa

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// SubscriberStatus says whether a subscriber may log in.
type SubscriberStatus string

// The states of a subscriber: only an active one may log in.
const (
	SubscriberActive    SubscriberStatus = "active"
	SubscriberInactive  SubscriberStatus = "inactive"
	SubscriberSuspended SubscriberStatus = "suspended"
	SubscriberExpired   SubscriberStatus = "expired"
)

// SubscriberStatuses lists every state.
var SubscriberStatuses = []SubscriberStatus{SubscriberActive, SubscriberInactive, SubscriberSuspended, SubscriberExpired}

// ServiceType is how a subscriber is connected; it is for the operator's lists
// and decides nothing at login.
type ServiceType string

// The kinds of service.
const (
	ServicePPPoE   ServiceType = "pppoe"
	ServiceHotspot ServiceType = "hotspot"
	ServiceStatic  ServiceType = "static"
	ServiceDHCP    ServiceType = "dhcp" // IPoE: the device's MAC address is mostly the name
)

// ServiceTypes lists every kind of service.
var ServiceTypes = []ServiceType{ServicePPPoE, ServiceHotspot, ServiceStatic, ServiceDHCP}

// Subscriber is a row of radial.subscribers: what the operator said of a
// customer. The password is not here but in radcheck alone.
type Subscriber struct {
	ID          int64            `json:"id"`
	Name        string           `json:"username"`
	Package     string           `json:"package"` // name, or ""
	Status      SubscriberStatus `json:"status"`
	ServiceType ServiceType      `json:"service_type"`
	// MACs are the only devices that he may use, as NormalMAC writes them; empty:
	// any.
	MACs []string `json:"macs"`
	// PasswordType is how radcheck keeps the password: a kind of HashPassword, or
	// PasswordNone.
	PasswordType string      `json:"password_type"`
	StaticIP     netip.Addr  `json:"static_ip"` // invalid: none
	Expires      *time.Time  `json:"expires_at"`
	Email        string      `json:"email"`
	Comment      string      `json:"comment"`
	Groups       []GroupItem `json:"groups"`
	Checks       []Item      `json:"checks"`
	Replies      []Item      `json:"replies"`
	Quotas       []Quota     `json:"quotas"`      // in place of those of his groups that are of the same kind
	BillingDay   int         `json:"billing_day"` // 1 to 31, on which his months begin; 0: as the setting says
	Created      time.Time   `json:"created_at"`
	Updated      time.Time   `json:"updated_at"`
}

// GroupItem is a membership beside the package's.
type GroupItem struct {
	Group    string `json:"group"`
	Priority int32  `json:"priority"`
}

// DefaultGroupPriority is the priority of a group that was named without one:
// after the package, whose priority is PackagePriority. A walled garden comes
// before all.
const (
	GardenPriority       int32 = -1
	PackagePriority      int32 = 100
	DefaultGroupPriority int32 = 200
)

// ParseGroup reads "GROUP" or "GROUP:priority".
func ParseGroup(text string) (GroupItem, error) {
	name, prio := text, DefaultGroupPriority
	if i := strings.LastIndexByte(text, ':'); i >= 0 {
		n, err := strconv.ParseInt(text[i+1:], 10, 32)
		if err != nil {
			return GroupItem{}, fmt.Errorf("group %q: %q is not a priority; want GROUP or GROUP:number: %w", text, text[i+1:], ErrInvalid)
		}
		name, prio = text[:i], int32(n)
	}
	if err := validGroupName("group", name); err != nil {
		return GroupItem{}, err
	}
	return GroupItem{Group: name, Priority: prio}, nil
}

// Refused is the state that keeps the subscriber out at a moment, or "" for
// one who may log in: the status itself, or an expiry that has passed.
func (s *Subscriber) Refused(now time.Time) SubscriberStatus {
	if s.Status != SubscriberActive {
		return s.Status
	}
	if s.Expires != nil && !s.Expires.After(now) {
		return SubscriberExpired
	}
	return ""
}

// ValidUsername refuses names that no device could send or that PostgreSQL
// could not hold (RFC 2865 §5.1: at most 253 octets).
func ValidUsername(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("username is empty: %w", ErrInvalid)
	case len(name) > 253:
		return fmt.Errorf("username %.20q…: %d bytes long, at most 253 fit into User-Name: %w", name, len(name), ErrInvalid)
	case !utf8.ValidString(name):
		return fmt.Errorf("username %q: not UTF-8: %w", name, ErrInvalid)
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("username %q: begins or ends with a blank: %w", name, ErrInvalid)
	case strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("username %q: has a control character: %w", name, ErrInvalid)
	}
	return nil
}

// validGroupName holds the names of packages and groups to what FreeRADIUS
// stores without escaping (radius-semantics §1.3): group names cross its
// escaping once more on each look-up, so others would not be found.
func validGroupName(what, name string) error {
	safe := func(r rune) bool {
		return r >= utf8.RuneSelf || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@.-_ /", r)
	}
	bad := strings.IndexFunc(name, func(r rune) bool { return !safe(r) })
	switch {
	case name == "" || len(name) > 100:
		return fmt.Errorf("%s name %q: want 1 to 100 characters: %w", what, name, ErrInvalid)
	case bad >= 0 || !utf8.ValidString(name) || strings.TrimSpace(name) != name:
		return fmt.Errorf("%s name %q: letters, digits and @ . - _ / or blanks within only: %w", what, name, ErrInvalid)
	}
	return nil
}

// validSubscriber holds the fields to what the table and the projection take.
func validSubscriber(s *Subscriber) error {
	if err := ValidUsername(s.Name); err != nil {
		return err
	}
	if !slices.Contains(SubscriberStatuses, s.Status) {
		return fmt.Errorf("status %q: one of %s: %w", s.Status, joined(SubscriberStatuses), ErrInvalid)
	}
	if !slices.Contains(ServiceTypes, s.ServiceType) {
		return fmt.Errorf("service type %q: one of %s: %w", s.ServiceType, joined(ServiceTypes), ErrInvalid)
	}
	if ip := s.StaticIP; ip.IsValid() && (ip.IsUnspecified() || ip.IsMulticast() || ip.IsLoopback() || ip.Zone() != "") {
		return fmt.Errorf("address %s: cannot be a subscriber's: %w", ip, ErrInvalid)
	}
	if s.BillingDay < 0 || s.BillingDay > 31 {
		return fmt.Errorf("billing day %d: want 1 to 31: %w", s.BillingDay, ErrInvalid)
	}
	for _, err := range []error{validQuotas(s.Quotas), validMACs(s), validEmail(s.Email)} {
		if err != nil {
			return err
		}
	}
	for _, g := range s.Groups {
		if g.Group == s.Package {
			return fmt.Errorf("group %q: is the package already: %w", g.Group, ErrInvalid)
		}
	}
	return nil
}

func joined[T ~string](all []T) string {
	texts := make([]string, len(all))
	for i, v := range all {
		texts[i] = string(v)
	}
	return strings.Join(texts, ", ")
}
