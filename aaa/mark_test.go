package aaa

import (
	"encoding/hex"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"radial/dictionaries"
	"radial/nas"
)

// marking is a workbench whose accepts carry marks, with one subscriber.
func marking(t testing.TB) *workbench {
	b := newWorkbench(t)
	b.config.Options.Mark = true
	b.config.Addresses = &pool{}
	b.tables.users["alice"] = UserRows{Check: rows("Cleartext-Password", ":=", "p1"), Reply: rows("Mikrotik-Rate-Limit", "=", "2M/10M"), Groups: []Membership{{Group: "gold"}}}
	b.tables.groups["gold"] = GroupRows{Reply: rows("Session-Timeout", "=", "100", "Acct-Interim-Interval", "=", "60")}
	return b
}

func (b *workbench) classOf(t testing.TB, items ...string) classMarked {
	t.Helper()
	d, err := NewEngine(b.config).Authorize(t.Context(), b.request(t, append([]string{"User-Name", "alice", "User-Password", "p1"}, items...)...))
	if err != nil || d.Verdict != Accept {
		t.Fatal(d.Reason, d.Detail, err)
	}
	class, _ := d.Reply.Value(b.dict.Must("Class"))
	c, ok := readClass(string(class))
	if !ok {
		t.Fatalf("Class %q", class)
	}
	return c
}

// What the Class of a login is must never change: sessions that run carry it.
func TestClassStays(t *testing.T) {
	b := marking(t)
	d, err := NewEngine(b.config).Authorize(t.Context(), b.request(t, "User-Name", "alice", "User-Password", "p1", "NAS-Port-Id", "ether1", "Calling-Station-Id", "AA:BB:CC:DD:EE:FF"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := textOf(d.Reply, b.dict.Must("Class")), "0x"+hex.EncodeToString([]byte("r1:EJai4Lr12wHL8pzkhCIjJV7lpZMeWGIX")); got != want {
		class, _ := hex.DecodeString(got[2:])
		t.Errorf("Class %s", class)
	}
}

// What is granted is in the mark, each part in its half; what differs from
// login to login is not, nor what is made of the request.
func TestMarkOfLogin(t *testing.T) {
	was := marking(t).classOf(t)
	for _, c := range []struct {
		name       string
		change     func(*UserRows)
		soft, hard bool
	}{
		{"nothing", func(*UserRows) {}, false, false},
		{"rate", func(u *UserRows) { u.Reply[0].Value = "3M/10M" }, true, false},
		{"password", func(u *UserRows) { u.Check[0].Op = "+=" }, false, false},
		{"time", func(u *UserRows) { u.Check = append(u.Check, rows("Expiration", ":=", "1 Jan 2030")...) }, false, false},
		{"interim", func(u *UserRows) { u.Reply = append(u.Reply, rows("Acct-Interim-Interval", "=", "30")...) }, false, false},
		{"address", func(u *UserRows) { u.Reply = append(u.Reply, rows("Framed-IP-Address", "=", "10.9.9.9")...) }, false, true},
		{"prefix", func(u *UserRows) { u.Reply = append(u.Reply, rows("Delegated-IPv6-Prefix", "=", "2001:db8::/56")...) }, false, true},
		{"pool", func(u *UserRows) { u.Check = append(u.Check, rows("Pool-Name", ":=", "main")...) }, false, true},
		{"pool of an address that is there", func(u *UserRows) {
			u.Check = append(u.Check, rows("Framed-IPv6-Pool", ":=", "")...)
		}, false, false},
		{"made", func(u *UserRows) { u.Reply = append(u.Reply, rows("Filter-Id", "=", "`%{NAS-Port-Id}x`")...) }, false, false},
		{"device's pool", func(u *UserRows) { u.Reply = append(u.Reply, rows("Framed-Pool", "=", "x")...) }, false, true},
		{"message", func(u *UserRows) { u.Reply = append(u.Reply, rows("Reply-Message", "=", "x")...) }, false, false},
	} {
		b := marking(t)
		u := b.tables.users["alice"]
		c.change(&u)
		b.tables.users["alice"] = u
		now := b.classOf(t)
		if (now.Soft != was.Soft) != c.soft || (now.Hard != was.Hard) != c.hard || now.witness != was.witness {
			t.Errorf("%s: %+v, before %+v", c.name, now, was)
		}
	}
}

// The witness tells of the name and of what check items can be about.
func TestWitness(t *testing.T) {
	items := [][2]string{
		{"NAS-Port-Id", "ether1"}, {"NAS-Port-Type", "Ethernet"}, {"Calling-Station-Id", "AA:BB:CC:DD:EE:FF"}, {"Called-Station-Id", "isp"}, {"Framed-Protocol", "PPP"}, {"NAS-IP-Address", "10.0.0.1"},
	}
	seen := map[witness]string{}
	for i := range 1 << len(items) {
		var request []string
		for k, item := range items {
			if i>>k&1 != 0 {
				request = append(request, item[0], item[1])
			}
		}
		w := marking(t).classOf(t, request...).witness
		if other, ok := seen[w]; ok {
			t.Errorf("%v and %s have the same", request, other)
		}
		seen[w] = strings.Join(request, " ")
	}
	b := marking(t)
	if b.classOf(t, "NAS-Port", "7", "Acct-Session-Id", "x", "NAS-Identifier", "r").witness != b.classOf(t, "NAS-Port-Id", "7").witness {
		t.Error("what radacct does not tell apart makes a difference")
	}
}

// No mark where there is none to be, and a Class of the rows' own stays alone.
func TestNoMark(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*workbench, *Request)
		want string
	}{
		{"off", func(b *workbench, _ *Request) { b.config.Options.Mark = false }, ""},
		{"own", func(b *workbench, _ *Request) {
			u := b.tables.users["alice"]
			u.Reply = append(u.Reply, rows("Class", "=", "mine")...)
			b.tables.users["alice"] = u
		}, "0x" + hex.EncodeToString([]byte("mine"))},
		{"refused", func(_ *workbench, r *Request) { r.Pairs[1].Value = []byte("wrong") }, ""},
	} {
		b := marking(t)
		req := b.request(t, "User-Name", "alice", "User-Password", "p1")
		c.set(b, req)
		d, err := NewEngine(b.config).Authorize(t.Context(), req)
		if got := textOf(d.Reply, b.dict.Must("Class")); err != nil || got != c.want {
			t.Errorf("%s: %v, Class %s", c.name, err, got)
		}
	}
}

func TestReadClass(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := classMarked{Mark: Mark{rapid.Uint64Min(1).Draw(t, "soft"), rapid.Uint64Min(1).Draw(t, "hard")}, witness: witness{rapid.Uint32Max(1<<24-1).Draw(t, "name"), rapid.Uint8().Draw(t, "device"), rapid.Uint32().Draw(t, "request")}}
		text := string(c.appendClass(nil))
		for _, class := range []string{text, "0x" + hex.EncodeToString([]byte(text))} {
			if got, ok := readClass(class); !ok || got != c || MarkOfClass(class) != c.Mark {
				t.Fatalf("%s: %+v, want %+v", class, got, c)
			}
		}
		if !isClassMark([]byte(text)) {
			t.Fatal(text)
		}
		cut := text[:rapid.IntRange(0, len(text)-1).Draw(t, "cut")]
		if MarkOfClass(cut) != (Mark{}) || MarkOfClass("0x"+hex.EncodeToString([]byte(cut))) != (Mark{}) {
			t.Fatal(cut)
		}
	})
	for _, class := range []string{"", "0x", "0xzz", "0x616263", "r1:", "r1:" + strings.Repeat("!", 32), "r1:" + strings.Repeat("A", 32), "ai:0123456789abcdef0123456789abcdef"} {
		if MarkOfClass(class) != (Mark{}) {
			t.Errorf("%q has a mark", class)
		}
	}
}

// Accounting keeps our Class as it stands, and others as the setting says.
func TestAccountKeepsMarks(t *testing.T) {
	d := testDict(t)
	mark := string((&classMarked{Mark: Mark{1, 2}}).appendClass(nil))
	for _, c := range []struct {
		classes []string
		store   bool
		want    string
	}{
		{[]string{mark}, false, mark}, {[]string{mark}, true, mark}, {[]string{"abc", mark}, false, mark}, {[]string{"abc", mark}, true, "0x616263"}, {[]string{"abc"}, false, ""},
	} {
		a, err := NewAccounting(d, nil, AccountingOptions{StoreClass: c.store}, nil)
		if err != nil {
			t.Fatal(err)
		}
		req := &Request{Device: &nas.Device{}}
		for _, class := range c.classes {
			req.Pairs = append(req.Pairs, dictionaries.Pair{Attr: d.Must("Class"), Value: []byte(class)})
		}
		req.Received = sec(1_795_000_000)
		got := ""
		if r := a.Record(req); r.Class != nil {
			got = *r.Class
		}
		if got != c.want {
			t.Errorf("%q, %v: %q", c.classes, c.store, got)
		}
	}
}
