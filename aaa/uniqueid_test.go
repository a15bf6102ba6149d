package aaa

import (
	"net/netip"
	"testing"
)

// Golden values of a FreeRADIUS 3.2.1 (radius-semantics "acctuniqueid").
func TestUniqueID(t *testing.T) {
	tests := []struct {
		user, session, nas, identifier, portID, port, want string
	}{
		{"bob", "81000001", "10.0.0.9", "mt1", "ether1", "15728640", "674b249b95cac1666a274e053e769c4a"},
		{"o'br+ien<x>", "V4#1", "127.0.0.1", "", "<pppoe-x>", "", "736f230143a7caf37de86c66de9946bf"},
		{"six", "V6", "2001:db8::1", "", "", "", "ab055294e3d3f424f97fba2dac137c7e"},
		{`a\b`, "E1", "127.0.0.1", "", "", "", "9af9cfd9e47501809398f0a84652bc94"},
		{`a"b%{x}$`, "E2", "127.0.0.1", "", "", "", "506007261ef434a72aaa91cfeb885207"},
		{"x", "E7", "127.0.0.1", "", "", "7", "8143df388d74517bfebaad90ebbb1cf2"},
		// leading white space of the whole is skipped
		{" \tx", "E7", "127.0.0.1", "", "", "7", "8143df388d74517bfebaad90ebbb1cf2"},
		// FreeRADIUS has the empty string here
		{"&User-Name", "E9", "127.0.0.1", "", "", "", md5Hex([]byte("&User-Name,E9,127.0.0.1,,,"))},
		{"", "", "127.0.0.1", "", "", "", md5Hex([]byte(",,127.0.0.1,,,"))},
	}
	for _, tt := range tests {
		got := uniqueID(uniqueParts{
			user: []byte(tt.user), sessionID: []byte(tt.session), nas: netip.MustParseAddr(tt.nas),
			nasIdentifier: []byte(tt.identifier), portID: []byte(tt.portID), port: tt.port,
		})
		if got != tt.want {
			t.Errorf("%q: %s, want %s", tt.user, got, tt.want)
		}
	}
}

func TestClassUniqueID(t *testing.T) {
	const digits = "0123456789abcdef0123456789abcdef"
	tests := []struct {
		class, token string
	}{
		{"ai:" + digits, digits},
		{"ai:0123456789ABCDEF0123456789abcdef", "0123456789ABCDEF0123456789abcdef"},
		{"ai:" + digits + digits, digits + digits},
		{"ai:" + digits + "0", ""},
		{"ai:" + digits[1:], ""},
		{"xai:" + digits, ""},
		{"ai:" + digits[:31] + "g", ""},
		{"AI:" + digits, ""},
		{"", ""},
	}
	for _, tt := range tests {
		token, ok := classToken([]byte(tt.class))
		if ok != (tt.token != "") || ok && string(token) != tt.token {
			t.Errorf("Class %q: token %q, %v; want %q", tt.class, token, ok, tt.token)
		}
	}
	if got, want := classUniqueID([]byte(digits), []byte("E8")), "7969e53df6eae210449166b75ab934c0"; got != want {
		t.Errorf("by Class: %s, want %s", got, want)
	}
}
