package aaa

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"radial/nas"
)

// checkradTypes are FreeRADIUS's own words for nas.type, which its checkrad
// reads. We have no profile for them: replies go out as they stand.
var checkradTypes = []string{
	"computone", "livingston", "max40xx", "multitech", "netserver", "pathras", "patton", "portslave", "tc", "usrhiper",
}

// DeviceTypes lists the values of nas.type that an operator may set.
func DeviceTypes() []string { return append(nas.Types(), checkradTypes...) }

// Device is a row of nas with its settings, as an operator sees it; the secret
// prints as ***.
type Device struct {
	ID                          int64          `json:"id"`
	Name                        string         `json:"nasname"`
	ShortName                   string         `json:"shortname"`
	Type                        string         `json:"type"`
	Secret                      nas.Secret     `json:"secret"`
	Description                 string         `json:"description"`
	RequireMessageAuthenticator nas.Policy     `json:"-"`
	LimitProxyState             nas.Policy     `json:"-"`
	CoAPort                     uint16         `json:"coa_port"`
	VRF                         string         `json:"vrf"`
	SwapOctets                  bool           `json:"swap_octets"`
	RejectDelay                 *time.Duration `json:"-"`
	Pool                        string         `json:"pool"` // of the logins that name none
}

// PolicyName gives a policy in the words of commands and tables.
func PolicyName(p nas.Policy) string {
	switch p {
	case nas.Yes:
		return "yes"
	case nas.No:
		return "no"
	default:
		return "auto"
	}
}

// ParsePolicy reads auto, yes or no.
func ParsePolicy(text string) (nas.Policy, error) {
	for _, p := range []nas.Policy{nas.Auto, nas.Yes, nas.No} {
		if text == PolicyName(p) {
			return p, nil
		}
	}
	return nas.Auto, fmt.Errorf("%q: want auto, yes or no: %w", text, ErrInvalid)
}

// MarshalJSON writes the policies as words and the delay in milliseconds.
func (d Device) MarshalJSON() ([]byte, error) {
	type plain Device
	var delay *int64
	if d.RejectDelay != nil {
		ms := d.RejectDelay.Milliseconds()
		delay = &ms
	}
	return json.Marshal(struct {
		plain
		Require string `json:"require_message_authenticator"`
		Limit   string `json:"limit_proxy_state"`
		Delay   *int64 `json:"reject_delay_ms"`
	}{plain(d), PolicyName(d.RequireMessageAuthenticator), PolicyName(d.LimitProxyState), delay})
}

// DeviceChange is what an operator says of a device. Nil fields are left as
// they are.
type DeviceChange struct {
	Secret                      *nas.Secret
	AllowWeakSecret             bool
	ShortName                   *string
	Type                        *string
	Description                 *string
	RequireMessageAuthenticator *nas.Policy
	LimitProxyState             *nas.Policy
	CoAPort                     *uint16
	VRF                         *string
	SwapOctets                  *bool
	Pool                        *string
	RejectDelay                 *time.Duration // below 0: the server's own setting again
}

// AddDevice makes a new device; found are the rows that stand under its name.
func (c DeviceChange) AddDevice(name string, found []Device) (DeviceDelta, error) {
	parsed, err := nas.ParseName(name)
	if err != nil {
		return DeviceDelta{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(found) > 0 {
		return DeviceDelta{}, fmt.Errorf("nas %q exists already; change it with nas set: %w", parsed, ErrConflict)
	}
	if c.Secret == nil || *c.Secret == "" {
		return DeviceDelta{}, fmt.Errorf("nas %q: a device needs a secret: --secret-stdin (or --secret): %w", parsed, ErrInvalid)
	}
	d := Device{Name: parsed.String(), ShortName: parsed.String(), Type: "other", CoAPort: 3799, VRF: "default"}
	return c.change(nil, d)
}

// SetDevice changes what c names of the one device found under a name.
func (c DeviceChange) SetDevice(name string, found []Device) (DeviceDelta, error) {
	d, err := oneDevice(name, found)
	if err != nil {
		return DeviceDelta{}, err
	}
	return c.change(&d, d)
}

// DeleteDevice removes the one device found under a name.
func DeleteDevice(name string, found []Device) (DeviceDelta, error) {
	d, err := oneDevice(name, found)
	if err != nil {
		return DeviceDelta{}, err
	}
	delta := DeviceDelta{Save: &d, Remove: true}
	return delta.audited(d, nil)
}

func oneDevice(name string, found []Device) (Device, error) {
	switch len(found) {
	case 0:
		return Device{}, fmt.Errorf("nas %q: %w", name, ErrNotFound)
	case 1:
		return found[0], nil
	}
	ids := make([]string, len(found))
	for i, d := range found {
		ids[i] = fmt.Sprintf("id:%d", d.ID)
	}
	return Device{}, fmt.Errorf("nas %q: %d rows have that name; say which: %s: %w", name, len(found), strings.Join(ids, ", "), ErrConflict)
}

func (c DeviceChange) change(before *Device, after Device) (DeviceDelta, error) {
	if c.Secret != nil {
		if err := usableSecret(*c.Secret, c.AllowWeakSecret); err != nil {
			return DeviceDelta{}, err
		}
	}
	changed := c.Secret != nil && after.Secret != *c.Secret
	assign(&after.Secret, c.Secret)
	assign(&after.ShortName, c.ShortName)
	assign(&after.Type, c.Type)
	assign(&after.Description, c.Description)
	assign(&after.RequireMessageAuthenticator, c.RequireMessageAuthenticator)
	assign(&after.LimitProxyState, c.LimitProxyState)
	assign(&after.CoAPort, c.CoAPort)
	assign(&after.VRF, c.VRF)
	assign(&after.SwapOctets, c.SwapOctets)
	assign(&after.Pool, c.Pool)
	if c.RejectDelay != nil {
		after.RejectDelay = nil
		if *c.RejectDelay >= 0 {
			after.RejectDelay = c.RejectDelay
		}
	}
	switch {
	case c.Type != nil && !nas.KnownType(after.Type) && !slices.Contains(checkradTypes, after.Type):
		return DeviceDelta{}, fmt.Errorf("nas type %q: one of %s: %w", after.Type, strings.Join(DeviceTypes(), ", "), ErrInvalid)
	case after.CoAPort == 0:
		return DeviceDelta{}, fmt.Errorf("coa port 0: want 1 to 65535: %w", ErrInvalid)
	case after.ShortName == "" || len(after.ShortName) > 200:
		return DeviceDelta{}, fmt.Errorf("name %q: want 1 to 200 characters: %w", after.ShortName, ErrInvalid)
	case after.Pool != "" && validGroupName("pool", after.Pool) != nil:
		return DeviceDelta{}, validGroupName("pool", after.Pool)
	case after.RejectDelay != nil && *after.RejectDelay > 10*time.Second:
		return DeviceDelta{}, fmt.Errorf("reject delay %s: want 0s to 10s: %w", *after.RejectDelay, ErrInvalid)
	}
	var secrets []string
	if changed {
		secrets = []string{"secret"}
	}
	delta := DeviceDelta{Save: &after}
	return delta.audited(before, after, secrets...)
}

// usableSecret refuses secrets that cannot be, and those that everybody tries
// first unless they are allowed.
func usableSecret(s nas.Secret, allowWeak bool) error {
	if s == "" || strings.ContainsRune(s.Reveal(), 0) {
		return fmt.Errorf("secret: want 1 character or more, none of them NUL: %w", ErrInvalid)
	}
	if why, weak := nas.WeakSecret(s); weak && !allowWeak {
		return fmt.Errorf("secret: too weak (%s); take another or say --allow-weak-secret: %w", why, ErrInvalid)
	}
	return nil
}
