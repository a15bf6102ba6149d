package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"

	"radial/store"
)

// demo makes the demo data and prints what a newcomer can paste.
func (m *machine) demo(ctx context.Context, db *store.DB, w io.Writer) error {
	if err := makeDemo(ctx, db, m.dict, m.location); err != nil {
		return err
	}
	rows, err := db.NASRows(ctx)
	if err != nil {
		return err
	}
	if err := m.loadDevices(ctx, rows); err != nil {
		return err
	}
	auth, acct := "127.0.0.1:1812", "127.0.0.1:1813"
	for _, a := range m.radius.AuthAddrs() {
		auth = fmt.Sprintf("127.0.0.1:%d", a.Port())
	}
	for _, a := range m.radius.AcctAddrs() {
		acct = fmt.Sprintf("127.0.0.1:%d", a.Port())
	}
	_, err = fmt.Fprintf(w, `
Radial serves with demo data in %[3]s. Paste into another terminal:

  a login (Access-Accept with an address and a rate limit):
    echo 'User-Name=%[4]s,User-Password=%[5]s,Calling-Station-Id="02:00:00:00:00:01",NAS-Port-Id=ether1,Acct-Session-Id=demo1' | %[7]s -x %[1]s auth %[6]s

  its accounting (put the address of the answer in the place of 100.64.0.1):
    echo 'Acct-Status-Type=Start,User-Name=%[4]s,Acct-Session-Id=demo1,Framed-IP-Address=100.64.0.1,Calling-Station-Id="02:00:00:00:00:01",NAS-Port-Id=ether1' | %[7]s -x %[2]s acct %[6]s

  a wrong password, and why it is refused:
    bin/radial client auth %[4]s --password wrong --server %[1]s --secret %[6]s
    bin/radial --data-dir %[3]s user explain %[4]s --password wrong

  the tables:
    bin/radial --data-dir %[3]s user show %[4]s

`, auth, acct, m.config.DataDir, demoUser, demoPassword, demoSecret, radclient())
	return err
}

// radclient is how a person calls it: by its name where every shell finds it,
// else by its path.
func radclient() string {
	path, err := exec.LookPath("radclient")
	if dir := filepath.Dir(path); err != nil || dir == "/usr/bin" || dir == "/usr/local/bin" || dir == "/bin" {
		return "radclient"
	}
	return path
}
