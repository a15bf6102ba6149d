package ipam

import (
	"strings"
	"testing"
)

func TestNormaliseMAC(t *testing.T) {
	const mac = "00:0c:42:ab:cd:ef"
	for in, want := range map[string]string{
		"00:0C:42:AB:CD:EF": mac, "00-0C-42-AB-CD-EF": mac, "000c.42ab.cdef": mac, "000c42abcdef": mac, "000C42-ABCDEF": mac,
		" 00:0C:42:AB:CD:EF ": mac, "1:00:0c:42:ab:cd:ef": mac, "01:00:0c:42:ab:cd:ef": mac, "0:c:42:ab:cd:ef": mac, "1:0:c:42:ab:cd:ef": mac,
		"": "", "alice": "alice", "192.0.2.1": "192.0.2.1", "2001:db8::1": "2001:db8::1", "00:0c:42:ab:cd": "00:0c:42:ab:cd", "00:0c:42:ab:cd:eg": "00:0c:42:ab:cd:eg",
		"00:0c-42:ab-cd:ef": "00:0c-42:ab-cd:ef", "+420 123 456 789": "+420 123 456 789", "2:00:0c:42:ab:cd:ef": "2:00:0c:42:ab:cd:ef", "123456789012": "12:34:56:78:90:12",
	} {
		if got := NormaliseMAC(in); got != want {
			t.Errorf("NormaliseMAC(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzNormaliseMAC(f *testing.F) {
	for _, s := range []string{"00:0C:42:AB:CD:EF", "1:0:c:42:ab:cd:ef", "000c.42ab.cdef", "x", "::::::", "0-0-0-0-0-0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once := NormaliseMAC(s)
		if twice := NormaliseMAC(once); twice != once {
			t.Fatalf("%q becomes %q, then %q", s, once, twice)
		}
		if once != strings.TrimSpace(s) && len(once) != 17 {
			t.Fatalf("%q becomes %q", s, once)
		}
	})
}
