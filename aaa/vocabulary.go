package aaa

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"

	"radial/dictionaries"
)

// vocabulary holds the attributes that the engine knows by name, found once.
// Those that a dictionary may lack are nil then, and never match anything.
type vocabulary struct {
	userName, userPassword, chapPassword           *dictionaries.Attribute
	nasIPAddress, nasIPv6Address, nasPort          *dictionaries.Attribute
	nasPortID, nasPortType                         *dictionaries.Attribute
	callingStation, calledStation                  *dictionaries.Attribute
	serviceType, framedProtocol, framedCompression *dictionaries.Attribute
	framedIPAddress, sessionTimeout, replyMessage  *dictionaries.Attribute
	acctSessionID, class, portLimit                *dictionaries.Attribute

	address addressWords

	// FreeRADIUS's internal ones
	fallThrough, userProfile, authType, expiration, loginTime *dictionaries.Attribute
	simultaneousUse, realm, strippedUserName                  *dictionaries.Attribute

	neverCompared map[*dictionaries.Attribute]bool
	virtual       map[*dictionaries.Attribute]virtual
	inReject      map[*dictionaries.Attribute]bool
	inGarden      map[*dictionaries.Attribute]bool // of a reply, what a walled garden takes over
	choosesPool   map[*dictionaries.Attribute]bool
	unsupported   map[*dictionaries.Attribute]bool
	counters      []*dictionaries.Attribute // at the places of counters; nil where the dictionary lacks one

	authTypeAccept, authTypeReject, authTypeCHAP, authTypeMSCHAP []byte
	framedUser, ppp, vanJacobson                                 []byte
}

// newVocabulary looks the names up.
func newVocabulary(d *dictionaries.Dictionary) *vocabulary {
	w := &vocabulary{
		userName: d.Must("User-Name"), userPassword: d.Must("User-Password"), chapPassword: d.Must("CHAP-Password"),
		nasIPAddress: d.Must("NAS-IP-Address"), nasIPv6Address: d.Must("NAS-IPv6-Address"), nasPort: d.Must("NAS-Port"),
		nasPortID: d.Must("NAS-Port-Id"), nasPortType: d.Must("NAS-Port-Type"),
		callingStation: d.Must("Calling-Station-Id"), calledStation: d.Must("Called-Station-Id"),
		serviceType: d.Must("Service-Type"), framedProtocol: d.Must("Framed-Protocol"), framedCompression: d.Must("Framed-Compression"),
		framedIPAddress: d.Must("Framed-IP-Address"), sessionTimeout: d.Must("Session-Timeout"), replyMessage: d.Must("Reply-Message"),
		acctSessionID: d.Must("Acct-Session-Id"), class: d.Must("Class"), portLimit: d.Must("Port-Limit"),
		address:     newAddressWords(d),
		fallThrough: d.Must("Fall-Through"), userProfile: d.Must("User-Profile"), authType: d.Must("Auth-Type"),
		expiration: d.Must("Expiration"), loginTime: d.Must("Login-Time"), simultaneousUse: d.Must("Simultaneous-Use"),
		realm: d.Find("Realm"), strippedUserName: d.Find("Stripped-User-Name"),
	}
	w.neverCompared = attributeSet(d, "Crypt-Password", "Auth-Type", "Autz-Type", "Acct-Type", "Session-Type", "Strip-User-Name")
	w.inReject = attributeSet(d, "Reply-Message", "State", "EAP-Message", "Error-Cause", "MS-CHAP-Error")
	w.inGarden = attributeSet(d, "Framed-Protocol", "Framed-Compression", "Framed-IP-Address", "Framed-IPv6-Address")
	w.choosesPool = map[*dictionaries.Attribute]bool{}
	for _, k := range w.address.kinds {
		w.choosesPool[k.choose] = true
	}
	w.virtual = virtualAttributes(d)
	w.unsupported = attributeSet(d, unsupportedItems...)
	for a := range d.All() {
		if a.Internal && strings.HasPrefix(a.Name, "Max-") {
			w.unsupported[a] = true
		}
	}
	for _, c := range counters {
		a := d.Find(c.item)
		w.counters = append(w.counters, a)
		delete(w.unsupported, a)
	}
	w.authTypeAccept, w.authTypeReject = mustParse(w.authType, "Accept"), mustParse(w.authType, "Reject")
	w.authTypeCHAP, w.authTypeMSCHAP = mustParse(w.authType, "CHAP"), mustParse(w.authType, "MS-CHAP")
	w.framedUser, w.ppp = mustParse(w.serviceType, "Framed-User"), mustParse(w.framedProtocol, "PPP")
	w.vanJacobson = mustParse(w.framedCompression, "Van-Jacobson-TCP-IP")
	return w
}

// attributeSet finds the names that the dictionary has.
func attributeSet(d *dictionaries.Dictionary, names ...string) map[*dictionaries.Attribute]bool {
	set := make(map[*dictionaries.Attribute]bool, len(names))
	for _, name := range names {
		if a := d.Find(name); a != nil {
			set[a] = true
		}
	}
	return set
}

// mustParse reads a value that every dictionary has; like Must it can panic in
// a broken build alone.
func mustParse(a *dictionaries.Attribute, text string) []byte {
	v, err := a.Parse(text)
	if err != nil {
		panic(fmt.Sprintf("aaa: %s lacks the value %s: %v", a.Name, text, err))
	}
	return v
}

// parseValue reads the (unquoted) text of a row's value. Dates are read as
// FreeRADIUS does, in loc; strings lose their backslash escapes.
func (w *vocabulary) parseValue(a *dictionaries.Attribute, text string, loc *time.Location) ([]byte, error) {
	switch a.Type {
	case dictionaries.TypeString:
		s, err := unescape(text)
		if err != nil {
			return nil, err
		}
		if s == "" { // a policy may hold an empty string, though no packet can
			return []byte{}, nil
		}
		return a.Parse(s)
	case dictionaries.TypeDate:
		t, err := ParseExpiration(text, loc)
		if err != nil {
			return nil, err
		}
		secs := t.Unix()
		if secs < 0 || secs > math.MaxUint32 {
			return nil, fmt.Errorf("date %q does not fit into the attribute: use a year from 1970 to 2105", text)
		}
		return binary.BigEndian.AppendUint32(nil, uint32(secs)), nil
	}
	return a.Parse(text)
}

// uint32Value reads an integer or date; anything else is 0.
func uint32Value(v []byte) uint32 {
	if len(v) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(v)
}
