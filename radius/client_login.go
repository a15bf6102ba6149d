package radius

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"

	"radial/aaa"
	"radial/dictionaries"
	"radial/nas"
)

// LoginMethod is how a Login proves who it is.
type LoginMethod string

// The methods.
const (
	LoginPAP      LoginMethod = "pap"
	LoginCHAP     LoginMethod = "chap"
	LoginMSCHAPv1 LoginMethod = "mschapv1"
	LoginMSCHAPv2 LoginMethod = "mschapv2"
)

// LoginMethods lists the methods in the order to show them.
var LoginMethods = []LoginMethod{LoginPAP, LoginCHAP, LoginMSCHAPv1, LoginMSCHAPv2}

// ErrServerProof means that a server accepted an MS-CHAPv2 login without
// proving that it knows the password (RFC 2759 §5): it must not be trusted.
var ErrServerProof = errors.New("the server's MS-CHAP2-Success is missing or wrong")

// ErrMPPEKeys means that the keys in an Access-Accept are not those that the
// password gives: the session could not be encrypted.
var ErrMPPEKeys = errors.New("the MPPE keys are not those of this login")

// Login is one Access-Request as a NAS would make it.
type Login struct {
	User     string
	Password nas.Secret
	Method   LoginMethod
	// Pairs are further attributes, put after the credential.
	Pairs dictionaries.Pairs
}

// Login sends an Access-Request with the credential that the method asks for.
// After an accepted MS-CHAPv2 login the server's proof is verified, and so are
// the MPPE keys of both MS-CHAPs where there are any; then the error is
// ErrServerProof or ErrMPPEKeys, and the reply is returned as well.
func (c *Client) Login(ctx context.Context, l Login) (*Reply, error) {
	b, err := c.credential(l)
	if err != nil {
		return nil, err
	}
	reply, err := c.Exchange(ctx, AccessRequest, b.pairs)
	if err != nil {
		return nil, err
	}
	if reply.Code == AccessAccept && b.check != nil {
		if err := b.check(reply.Pairs); err != nil {
			return reply, fmt.Errorf("login of %q: %w", l.User, err)
		}
	}
	return reply, nil
}

// Credential returns what Login sends, with fresh challenges: for whoever wants
// to see or change it before Exchange.
func (c *Client) Credential(l Login) (dictionaries.Pairs, error) {
	b, err := c.credential(l)
	return b.pairs, err
}

func (c *Client) credential(l Login) (*credentialBuilder, error) {
	b := &credentialBuilder{dict: c.dict, user: l.User, password: []byte(l.Password.Reveal())}
	if err := b.build(l.Method); err != nil {
		return b, fmt.Errorf("login of %q: %w", l.User, err)
	}
	b.pairs = append(b.pairs, l.Pairs...)
	return b, nil
}

// credentialBuilder makes the attributes of a credential and what verifies the
// answer to it.
type credentialBuilder struct {
	dict     *dictionaries.Dictionary
	user     string
	password []byte
	pairs    dictionaries.Pairs
	check    func(reply dictionaries.Pairs) error
}

func (b *credentialBuilder) build(method LoginMethod) error {
	if err := b.add("User-Name", []byte(b.user)); err != nil {
		return err
	}
	switch method {
	case LoginPAP:
		return b.add("User-Password", b.password)
	case LoginCHAP:
		return b.chap()
	case LoginMSCHAPv1:
		return b.mschapv1()
	case LoginMSCHAPv2:
		return b.mschapv2()
	}
	return fmt.Errorf("method %q is not one of %v", method, LoginMethods)
}

func (b *credentialBuilder) add(name string, value []byte) error {
	a := b.dict.Find(name)
	if a == nil {
		return fmt.Errorf("the dictionary has no %s", name)
	}
	b.pairs = append(b.pairs, dictionaries.Pair{Attr: a, Value: value})
	return nil
}

func (b *credentialBuilder) chap() error {
	challenge := random(17)
	ident, challenge := challenge[0], challenge[1:]
	response := aaa.CHAPResponse(ident, b.password, challenge)
	return errors.Join(b.add("CHAP-Password", append([]byte{ident}, response[:]...)), b.add("CHAP-Challenge", challenge))
}

// mschapv1 sends the NT-Response alone, as RFC 2433 §6 allows.
func (b *credentialBuilder) mschapv1() error {
	hash, err := aaa.NTHash(b.password)
	if err != nil {
		return err
	}
	challenge := random(9)
	ident, challenge := challenge[0], challenge[1:]
	response := aaa.MSCHAPv1Response([8]byte(challenge), hash)
	const useNT = 1
	v := append([]byte{ident, useNT}, make([]byte, 24)...)
	b.check = func(reply dictionaries.Pairs) error {
		keys, ok := b.value(reply, "MS-CHAP-MPPE-Keys")
		hashHash := aaa.NTHashHash(hash)
		if ok && (len(keys) < 24 || subtle.ConstantTimeCompare(keys[8:24], hashHash[:]) != 1) {
			return ErrMPPEKeys
		}
		return nil
	}
	return errors.Join(b.add("MS-CHAP-Challenge", challenge), b.add("MS-CHAP-Response", append(v, response[:]...)))
}

func (b *credentialBuilder) mschapv2() error {
	hash, err := aaa.NTHash(b.password)
	if err != nil {
		return err
	}
	r := random(33)
	ident, server, peer := r[0], [16]byte(r[1:17]), [16]byte(r[17:33])
	user := aaa.WithoutDomain(b.user)
	response := aaa.MSCHAPv2Response(server, peer, user, hash)
	v := append([]byte{ident, 0}, peer[:]...)
	v = append(append(v, make([]byte, 8)...), response[:]...)
	b.check = func(reply dictionaries.Pairs) error {
		hashHash := aaa.NTHashHash(hash)
		proof, _ := b.value(reply, "MS-CHAP2-Success")
		want := append([]byte{ident}, aaa.MSCHAPv2Success(server, peer, user, hashHash, response)...)
		if len(proof) < len(want) || subtle.ConstantTimeCompare(proof[:len(want)], want) != 1 { // " M=<text>" may follow
			return ErrServerProof
		}
		send, recv := aaa.MPPEKeys(hashHash, response)
		return errors.Join(b.sameKey(reply, "MS-MPPE-Send-Key", send), b.sameKey(reply, "MS-MPPE-Recv-Key", recv))
	}
	return errors.Join(b.add("MS-CHAP-Challenge", server[:]), b.add("MS-CHAP2-Response", v))
}

func (b *credentialBuilder) sameKey(reply dictionaries.Pairs, name string, want [16]byte) error {
	if got, ok := b.value(reply, name); ok && subtle.ConstantTimeCompare(got, want[:]) != 1 {
		return fmt.Errorf("%s: %w", name, ErrMPPEKeys)
	}
	return nil
}

func (b *credentialBuilder) value(ps dictionaries.Pairs, name string) ([]byte, bool) {
	a := b.dict.Find(name)
	if a == nil {
		return nil, false
	}
	return ps.Value(a)
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails: crypto/rand ends the process instead
	return b
}
