package radius

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	"radial/aaa"
	"radial/dictionaries"
)

// TestRadclient: FreeRADIUS's client is answered and believes the answers.
func TestRadclient(t *testing.T) {
	radclient, err := exec.LookPath("radclient")
	if err != nil {
		t.Skip("SKIP: no radclient here (Debian package freeradius-utils)")
	}
	var dict *dictionaries.Dictionary
	r := start(t, plan{setup: func(s *Server) { dict = s.dict }, auth: func(_ context.Context, q *aaa.Request) (aaa.Decision, error) {
		if v, _ := q.Pairs.Value(dict.Find("User-Password")); string(v) != "p w" {
			return aaa.Decision{Verdict: aaa.Reject, Reason: aaa.ReasonBadPassword, Reply: pairs(t, dict, "Reply-Message", "no")}, nil
		}
		reply := pairs(t, dict, "Framed-IP-Address", "100.64.0.7", "Tunnel-Password:1", "hidden", "MS-MPPE-Send-Key", "0x"+strings.Repeat("ab", 16), "Mikrotik-Rate-Limit", "20M/100M")
		return aaa.Decision{Verdict: aaa.Accept, Reply: reply}, nil
	}})
	auth, acct := r.authAddr().String(), r.acctAddr().String()
	for _, tc := range []struct {
		to, command, input string
		want               []string
	}{
		{auth, "auth", "User-Name=bob,User-Password=\"p w\"", []string{"Access-Accept", "Framed-IP-Address = 100.64.0.7", `Tunnel-Password:1 = "hidden"`, "MS-MPPE-Send-Key = 0xabababab", `Mikrotik-Rate-Limit = "20M/100M"`}},
		{auth, "auth", "User-Name=bob,User-Password=wrong,Message-Authenticator=0x00", []string{"Access-Reject", `Reply-Message = "no"`}},
		{auth, "status", "Message-Authenticator=0x00", []string{"Access-Accept"}},
		{acct, "status", "Message-Authenticator=0x00", []string{"Accounting-Response"}},
		{acct, "acct", "Acct-Status-Type=Start,Acct-Session-Id=1,User-Name=bob,Proxy-State=0x0102", []string{"Accounting-Response", "Proxy-State = 0x0102"}},
	} {
		cmd := exec.Command(radclient, "-x", "-r", "1", "-t", "5", tc.to, tc.command, secret)
		cmd.Stdin = strings.NewReader(tc.input + "\n")
		out, _ := cmd.CombinedOutput() // a reject is exit code 1
		_, reply, ok := strings.Cut(string(out), "Received ")
		if !ok {
			t.Errorf("%s %s: no reply:\n%s", tc.command, tc.input, out)
			continue
		}
		for _, want := range tc.want {
			if !strings.Contains(reply, want) {
				t.Errorf("%s %s: no %q in the reply:\n%s", tc.command, tc.input, want, reply)
			}
		}
	}
}

// pairs reads names and values in turn.
func pairs(t testing.TB, dict *dictionaries.Dictionary, list ...string) (ps dictionaries.Pairs) {
	for i := 0; i < len(list); i += 2 {
		p, err := dict.Pair(list[i], list[i+1])
		if err != nil {
			t.Error(err)
		}
		ps = append(ps, p)
	}
	return ps
}
