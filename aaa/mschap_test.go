package aaa

import (
	"encoding/hex"
	"strings"
	"testing"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// RFC 2759 §9.2 and RFC 3079 §3.5.3.
func TestMSCHAPv2Vectors(t *testing.T) {
	server := [16]byte(unhex(t, "5B5D7C7D7B3F2F3E3C2C602132262628"))
	peer := [16]byte(unhex(t, "21402324255E262A28295F2B3A337C7E"))
	check := func(what string, got []byte, want string) {
		t.Helper()
		if g := strings.ToUpper(hex.EncodeToString(got)); g != want {
			t.Errorf("%s: got %s, want %s", what, g, want)
		}
	}
	hash, err := NTHash([]byte("clientPass"))
	if err != nil {
		t.Fatal(err)
	}
	check("PasswordHash", hash[:], "44EBBA8D5312B8D611474411F56989AE")
	hashHash := NTHashHash(hash)
	check("PasswordHashHash", hashHash[:], "41C00C584BD2D91C4017A2A12FA59F3F")
	challenge := challengeHash(server, peer, "User")
	check("Challenge", challenge[:], "D02E4386BCE91226")
	response := MSCHAPv2Response(server, peer, "User", hash)
	check("NT-Response", response[:], "82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF")
	if got := MSCHAPv2Success(server, peer, "User", hashHash, response); got != "S=407A5589115FD0D6209F510FE9C04566932CDA56" {
		t.Errorf("authenticator response: %s", got)
	}
	send, recv := MPPEKeys(hashHash, response)
	check("send key", send[:], "8B7CDC149B993A1BA118CB153F56DCCB")
	check("receive key", recv[:], "D5F0E9521E3EA9589645E86051C82226")
}

// RFC 2433 §B (the challenge and password of its example) and known hashes.
func TestMSCHAPv1Vectors(t *testing.T) {
	hash, _ := NTHash([]byte("MyPw"))
	if got := hex.EncodeToString(hash[:]); got != "fc156af7edcd6c0edde3337d427f4eac" {
		t.Errorf("NT hash of MyPw: %s", got)
	}
	response := MSCHAPv1Response([8]byte(unhex(t, "102DB5DF085D3041")), hash)
	if got := hex.EncodeToString(response[:]); got != "4e9d3c8f9cfd385d5bf4d3246791956ca4c351ab409a3d61" {
		t.Errorf("NT-Response: %s", got)
	}
	for password, want := range map[string]string{
		"wonder land": "6cedab90d8530c307209f9131ff01cc9", // smbencrypt
		"":            "aad3b435b51404eeaad3b435b51404ee",
	} {
		if lm := LMHash([]byte(password)); hex.EncodeToString(lm[:]) != want {
			t.Errorf("LM hash of %q: %x", password, lm)
		}
	}
	for password, want := range map[string]string{
		"pässwörd€": "7f20bf6e69d97371914a8807579cab5c", // smbencrypt
		"":          "31d6cfe0d16ae931b73c59d7e0c089c0",
	} {
		if nt, err := NTHash([]byte(password)); err != nil || hex.EncodeToString(nt[:]) != want {
			t.Errorf("NT hash of %q: %x %v", password, nt, err)
		}
	}
	if _, err := NTHash([]byte("\xff")); err == nil {
		t.Error("invalid UTF-8 has an NT hash")
	}
}

func TestWithoutDomain(t *testing.T) {
	for in, want := range map[string]string{`DOM\bob`: "bob", "bob": "bob", "bob@isp": "bob@isp", `\bob`: "bob", `a\b\c`: `b\c`, "": ""} {
		if got := WithoutDomain(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}
