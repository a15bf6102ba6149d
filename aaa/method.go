package aaa

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"radial/dictionaries"
)

// Verification is the outcome of checking a credential. Reply holds what the
// method adds to the answer: on success the MS-CHAP keys and proof, on refusal
// MS-CHAP-Error. Detail is for a person and never holds a secret.
type Verification struct {
	OK     bool
	Reason Reason
	Detail string
	Reply  dictionaries.Pairs
}

// Verifier checks the credentials of Access-Requests against the password
// items of a control list. It has no state and is safe for concurrent use.
type Verifier struct {
	at    credentialAttributes
	kinds map[*dictionaries.Attribute]*passwordKind
	// methods by the number of the Auth-Type that names them.
	methods map[uint32]*method
}

// credentialAttributes are the attributes that credentials are made of.
type credentialAttributes struct {
	userName, userPassword, chapPassword, chapChallenge, eapMessage *dictionaries.Attribute

	authType, passwordWithHeader *dictionaries.Attribute

	msChallenge, msResponse, ms2Response, ms2Success, msError *dictionaries.Attribute

	msKeys, mppeSend, mppeRecv, mppePolicy, mppeTypes *dictionaries.Attribute
}

// method is one way to prove who one is.
type method struct {
	name string // of the Auth-Type
	// carried tells whether a request has the method's credential.
	carried func(*Verifier, dictionaries.Pairs) bool
	verify  func(*Verifier, attempt) Verification
}

// methods lists the credential methods in the order in which FreeRADIUS tries
// them. To add one is to add a file and a line.
var methods = []method{
	{"CHAP", (*Verifier).carriesCHAP, (*Verifier).verifyCHAP},
	{"MS-CHAP", (*Verifier).carriesMSCHAP, (*Verifier).verifyMSCHAP},
	{"PAP", (*Verifier).carriesPAP, (*Verifier).verifyPAP},
}

// authTypeAliases are further names of Auth-Types that mean one of methods.
var authTypeAliases = map[string]string{"MSCHAP": "MS-CHAP"}

// attempt is one call of Verify.
type attempt struct {
	req     *Request
	control dictionaries.Pairs
	user    string
}

// NewVerifier resolves the attributes of d that credentials need. A method of
// which d has no attribute never applies.
func NewVerifier(d *dictionaries.Dictionary) *Verifier {
	v := &Verifier{
		at: credentialAttributes{
			userName:      d.Find("User-Name"),
			userPassword:  d.Find("User-Password"),
			chapPassword:  d.Find("CHAP-Password"),
			chapChallenge: d.Find("CHAP-Challenge"),
			eapMessage:    d.Find("EAP-Message"),

			authType:           d.Find("Auth-Type"),
			passwordWithHeader: d.Find("Password-With-Header"),

			msChallenge: d.Find("MS-CHAP-Challenge"),
			msResponse:  d.Find("MS-CHAP-Response"),
			ms2Response: d.Find("MS-CHAP2-Response"),
			ms2Success:  d.Find("MS-CHAP2-Success"),
			msError:     d.Find("MS-CHAP-Error"),

			msKeys:     d.Find("MS-CHAP-MPPE-Keys"),
			mppeSend:   d.Find("MS-MPPE-Send-Key"),
			mppeRecv:   d.Find("MS-MPPE-Recv-Key"),
			mppePolicy: d.Find("MS-MPPE-Encryption-Policy"),
			mppeTypes:  d.Find("MS-MPPE-Encryption-Types"),
		},
		kinds:   make(map[*dictionaries.Attribute]*passwordKind),
		methods: make(map[uint32]*method),
	}
	for i := range passwordKinds {
		if a := d.Find(passwordKinds[i].attribute); a != nil && v.kinds[a] == nil {
			v.kinds[a] = &passwordKinds[i]
		}
	}
	if v.at.authType != nil {
		for i := range methods {
			v.nameAuthType(methods[i].name, &methods[i])
			for alias, name := range authTypeAliases {
				if name == methods[i].name {
					v.nameAuthType(alias, &methods[i])
				}
			}
		}
	}
	return v
}

func (v *Verifier) nameAuthType(name string, m *method) {
	if n, ok := v.at.authType.ValueNumber(name); ok {
		v.methods[uint32(n)] = m
	}
}

// Verify checks the credential of req against the password items of control,
// the first in list order. user is hashed where a method needs a name and the
// packet has none. Auth-Type Accept and Reject are not looked at: whoever calls
// has acted on them; any other Auth-Type must name the method that the request
// carries. EAP is refused.
func (v *Verifier) Verify(req *Request, control dictionaries.Pairs, user string, _ time.Time) Verification {
	if has(req.Pairs, v.at.eapMessage) {
		return refusal(ReasonEAPUnsupported, "the request carries EAP-Message, and EAP is not served")
	}
	carried := v.carried(req.Pairs)
	if n, ok := v.forced(control); ok {
		name := v.authTypeName(n)
		m := v.methods[n]
		switch {
		case m == nil:
			return refusal(ReasonAuthType, "Auth-Type "+name+" is not served: PAP, CHAP and MS-CHAP are, and without an Auth-Type the request tells")
		case !m.carried(v, req.Pairs):
			return refusal(ReasonAuthType, "Auth-Type "+name+" is set, but the request carries "+describe(carried))
		}
		carried = m
	}
	if carried == nil {
		return refusal(ReasonNoCredential, "the request carries no User-Password, CHAP-Password or MS-CHAP response")
	}
	return carried.verify(v, attempt{req: req, control: control, user: user})
}

// MethodOf names the Auth-Type that a request's own credential calls for (PAP,
// CHAP or MS-CHAP): what FreeRADIUS's chap and mschap modules set before the
// tables are read. It is "" when there is none.
func (v *Verifier) MethodOf(request dictionaries.Pairs) string {
	if m := v.carried(request); m != nil {
		return m.name
	}
	return ""
}

func (v *Verifier) carried(request dictionaries.Pairs) *method {
	for i := range methods {
		if methods[i].carried(v, request) {
			return &methods[i]
		}
	}
	return nil
}

func describe(m *method) string {
	if m == nil {
		return "no credential"
	}
	return "a " + m.name + " credential"
}

// forced returns the last Auth-Type of the list, which wins in FreeRADIUS.
func (v *Verifier) forced(control dictionaries.Pairs) (n uint32, ok bool) {
	if v.at.authType == nil {
		return 0, false
	}
	for i := range control {
		if control[i].Attr == v.at.authType && len(control[i].Value) == 4 {
			n, ok = binary.BigEndian.Uint32(control[i].Value), true
		}
	}
	return n, ok
}

func (v *Verifier) authTypeName(n uint32) string {
	if name, ok := v.at.authType.ValueName(uint64(n)); ok {
		return name
	}
	return fmt.Sprint(n)
}

// takesLong tells that a password of the list is hashed so that guessing it is
// slow: checking it takes milliseconds.
func (v *Verifier) takesLong(control dictionaries.Pairs) bool {
	for i := range control {
		if k := v.kinds[control[i].Attr]; k != nil && k.slow || v.at.passwordWithHeader != nil && control[i].Attr == v.at.passwordWithHeader {
			return true
		}
	}
	return false
}

// password returns the first password item of the list. A Password-With-Header
// counts after all others, since FreeRADIUS's pap module turns it into the
// attribute that its header names and appends that.
func (v *Verifier) password(control dictionaries.Pairs) (*passwordKind, []byte) {
	for i := range control {
		if k := v.kinds[control[i].Attr]; k != nil {
			return k, control[i].Value
		}
	}
	if header, ok := value(control, v.at.passwordWithHeader); ok {
		return splitHeader(header)
	}
	return nil, nil
}

// passwordOf returns the first password item that is of one kind.
func (v *Verifier) passwordOf(control dictionaries.Pairs, attribute string) ([]byte, bool) {
	for i := range control {
		if k := v.kinds[control[i].Attr]; k != nil && k.attribute == attribute {
			return control[i].Value, true
		}
	}
	for i := range control {
		if v.at.passwordWithHeader == nil || control[i].Attr != v.at.passwordWithHeader {
			continue
		}
		if k, rest := splitHeader(control[i].Value); k.attribute == attribute {
			return rest, true
		}
	}
	return nil, false
}

// withoutUsable is the refusal when no password item serves a method that needs
// one of those named in want.
func (v *Verifier) withoutUsable(control dictionaries.Pairs, method, want string) Verification {
	k, _ := v.password(control)
	if k == nil {
		return noPassword()
	}
	return refusal(ReasonMethodImpossible, method+" needs "+want+", and "+k.attribute+" is all there is")
}

func noPassword() Verification {
	return refusal(ReasonNoPassword, "no password attribute to check against")
}

func refusal(reason Reason, detail string) Verification {
	return Verification{Reason: reason, Detail: detail}
}

// badStored is the refusal for a stored password that cannot be used.
func badStored(attribute string, err error) Verification {
	if errors.Is(err, errScheme) {
		return refusal(ReasonUnsupportedCheck, attribute+": "+err.Error())
	}
	return refusal(ReasonUnparsableItem, attribute+": "+err.Error())
}

func has(ps dictionaries.Pairs, a *dictionaries.Attribute) bool { return a != nil && ps.Has(a) }

func value(ps dictionaries.Pairs, a *dictionaries.Attribute) ([]byte, bool) {
	if a == nil {
		return nil, false
	}
	return ps.Value(a)
}
