package radius

import (
	"errors"
	"slices"

	wire "layeh.com/radius"

	"radial/dictionaries"
)

// names are the attributes that the server itself knows.
type names struct {
	messageAuth, proxyState, callingStation *dictionaries.Attribute
	// inReject are those that an Access-Reject may carry (RFC 2865 §5.44 and
	// what FreeRADIUS leaves in).
	inReject []*dictionaries.Attribute
	// secret are never printed, though they are not encrypted on the wire.
	secret []*dictionaries.Attribute
}

func findNames(d *dictionaries.Dictionary) (names, error) {
	var errs []error
	find := func(name string) *dictionaries.Attribute {
		a := d.Find(name)
		if a == nil {
			errs = append(errs, errors.New("radius: the dictionary lacks "+name))
		}
		return a
	}
	n := names{
		messageAuth:    find("Message-Authenticator"),
		proxyState:     find("Proxy-State"),
		callingStation: find("Calling-Station-Id"),
		inReject: []*dictionaries.Attribute{
			find("EAP-Message"), find("State"), find("Reply-Message"), find("Error-Cause"), find("MS-CHAP-Error"),
		},
		secret: []*dictionaries.Attribute{find("CHAP-Password"), find("MS-CHAP-Response"), find("MS-CHAP2-Response"), find("EAP-Message")},
	}
	return n, errors.Join(errs...)
}

// sendable returns what of pairs goes into a reply: Message-Authenticator and
// Proxy-State are the server's own, and a reject carries few attributes. The
// pairs may be shared with other replies and are left as they are.
func (n *names) sendable(pairs dictionaries.Pairs, code wire.Code) dictionaries.Pairs {
	kept := func(p *dictionaries.Pair) bool {
		if code == wire.CodeAccessReject {
			return slices.Contains(n.inReject, p.Attr)
		}
		return p.Attr != n.messageAuth && p.Attr != n.proxyState
	}
	for i := range pairs {
		if kept(&pairs[i]) {
			continue
		}
		some := slices.Clone(pairs[:i])
		for j := i + 1; j < len(pairs); j++ {
			if kept(&pairs[j]) {
				some = append(some, pairs[j])
			}
		}
		return some
	}
	return pairs
}

// text returns the first value of an attribute in printable form, or nothing.
func (n *names) text(pairs dictionaries.Pairs, a *dictionaries.Attribute) string {
	v, ok := pairs.Value(a)
	if !ok {
		return ""
	}
	return a.Text(v)
}

// texts prints pairs with their names, secrets as ***.
func (n *names) texts(pairs dictionaries.Pairs) []string {
	lines := make([]string, len(pairs))
	for i, p := range pairs {
		if p.Attr.Encrypt != dictionaries.EncryptNone || slices.Contains(n.secret, p.Attr) {
			lines[i] = p.Attr.Name + " = ***"
		} else {
			lines[i] = p.String()
		}
	}
	return lines
}
