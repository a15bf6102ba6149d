package nas

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParseName(t *testing.T) {
	for _, c := range []struct {
		in   string
		kind NameKind
		out  string
	}{
		{"10.0.0.1", NameAddress, "10.0.0.1"},
		{" 10.0.0.1 ", NameAddress, "10.0.0.1"},
		{"::1", NameAddress, "::1"},
		{"::ffff:10.0.0.1", NameAddress, "10.0.0.1"},
		{"10.0.0.7/24", NameCIDR, "10.0.0.0/24"},
		{"::ffff:10.0.0.0/104", NameCIDR, "10.0.0.0/8"},
		{"0.0.0.0/0", NameCIDR, "0.0.0.0/0"},
		{"2001:db8::1/32", NameCIDR, "2001:db8::/32"},
		{"127.0.0.1/32", NameCIDR, "127.0.0.1/32"},
		{"Router-1.example.net.", NameHost, "router-1.example.net"},
		{"localhost", NameHost, "localhost"},
	} {
		n, err := ParseName(c.in)
		if err != nil || n.Kind != c.kind || n.String() != c.out {
			t.Errorf("ParseName(%q) = %v %q, %v; want %v %q", c.in, n.Kind, n, err, c.kind, c.out)
		}
	}
	for _, in := range []string{"", "  ", "10.0.0", "10.0.0.256", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "fe80::1%eth0", "a b", "-x.example", "x..example", strings.Repeat("a", 64), "h\x00st", "http://x"} {
		if n, err := ParseName(in); err == nil {
			t.Errorf("ParseName(%q) = %v; want an error", in, n)
		} else if !strings.Contains(err.Error(), "nas name") {
			t.Errorf("ParseName(%q): %v does not name the value", in, err)
		}
	}
}

func FuzzParseName(f *testing.F) {
	for _, s := range []string{"10.0.0.1", "10.0.0.0/8", "::1", "router.example.net", "fe80::1%0", "::ffff:1.2.3.4/97", "/", "."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err != nil {
			return
		}
		again, err := ParseName(n.String())
		if err != nil || again != n {
			t.Fatalf("ParseName(%q) = %+v, printed %q, read back %+v, %v", s, n, n, again, err)
		}
		if n.Kind != NameHost && n.Prefix != n.Prefix.Masked() {
			t.Fatalf("%q: prefix %v has bits beyond its length", s, n.Prefix)
		}
	})
}

func TestWeakSecret(t *testing.T) {
	for secret, weak := range map[Secret]bool{
		"testing123": true, "TESTING123": true, "short": true, "": true, "aaaaaaaaaaaa": true, "radsec": true,
		"s3cret": false, "V3ry-l0ng and random": false,
	} {
		why, got := WeakSecret(secret)
		if got != weak {
			t.Errorf("WeakSecret(%q) = %q, %v; want %v", secret.Reveal(), why, got, weak)
		}
		if got && (why == "" || strings.Contains(why, secret.Reveal()) && secret != "" && secret != "short") {
			t.Errorf("WeakSecret(%q) says %q", secret.Reveal(), why)
		}
	}
}

func TestSecretIsQuiet(t *testing.T) {
	if s := Secret("x").String(); s != "***" {
		t.Errorf("a secret prints %q", s)
	}
}

func mustPrefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
