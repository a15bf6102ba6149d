package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	fake "radial/test/fakes/routeros"
)

// playRouter: `fakerouter NAME [VERSION]` plays a router for the rest of the
// script, user admin, password geheim, and sets $NAME_PORT, $NAME_TLS,
// $NAME_COA (ports) and $NAME_SHA256 (of its certificate).
func playRouter(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: fakerouter NAME [VERSION]")
	}
	c := fake.Config{Identity: args[0], Password: "geheim", Address: netip.MustParseAddr("127.0.0.1"), Version: strings.Join(args[1:], " ")}
	r, err := fake.New(c)
	ts.Check(err)
	certificate, sum := ownCertificate(ts)
	plain, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	secure, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	incoming, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	ts.Check(err)
	ctx, stop := context.WithCancel(context.Background())
	var served sync.WaitGroup
	served.Go(func() { _ = r.Serve(ctx, plain, nil) }) // what fails shows in the script
	served.Go(func() { _ = r.Serve(ctx, secure, certificate) })
	served.Go(func() { _ = r.ServeIncoming(ctx, incoming) })
	ts.Defer(func() {
		stop()
		served.Wait()
		_ = incoming.Close()
	})
	port := func(a net.Addr) string { _, p, _ := net.SplitHostPort(a.String()); return p }
	ts.Setenv(args[0]+"_PORT", port(plain.Addr()))
	ts.Setenv(args[0]+"_TLS", port(secure.Addr()))
	ts.Setenv(args[0]+"_COA", port(incoming.LocalAddr()))
	ts.Setenv(args[0]+"_SHA256", sum)
	routersOf(ts)[args[0]] = r
}

// routerItems: `routeritems NAME PATH` prints what stands in a menu of a router,
// without ids, after a line with their number.
func routerItems(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || routersOf(ts)[args[0]] == nil {
		ts.Fatalf("usage: routeritems NAME PATH")
	}
	items := routersOf(ts)[args[0]].Items(args[1])
	_, err := fmt.Fprintln(ts.Stdout(), len(items), "items")
	ts.Check(err)
	for _, i := range items {
		delete(i, ".id")
		_, err := fmt.Fprintln(ts.Stdout(), strings.TrimPrefix(fmt.Sprint(i), "map"))
		ts.Check(err)
	}
}

// putItem: `putitem NAME PATH FIELD=VALUE…` puts an item of somebody else's into
// a router.
func putItem(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || routersOf(ts)[args[0]] == nil {
		ts.Fatalf("usage: putitem NAME PATH FIELD=VALUE…")
	}
	values := map[string]string{}
	for _, a := range args[2:] {
		name, value, _ := strings.Cut(a, "=")
		values[name] = value
	}
	_, err := routersOf(ts)[args[0]].Put(args[1], values)
	ts.Check(err)
}

// setItem: `setitem NAME PATH FIELD=VALUE…` changes settings of a router, as
// somebody else would.
func setItem(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 || routersOf(ts)[args[0]] == nil {
		ts.Fatalf("usage: setitem NAME PATH FIELD=VALUE…")
	}
	values := map[string]string{}
	for _, a := range args[2:] {
		name, value, _ := strings.Cut(a, "=")
		values[name] = value
	}
	ts.Check(routersOf(ts)[args[0]].Set(args[1], "", values))
}

func routersOf(ts *testscript.TestScript) map[string]*fake.Router {
	return ts.Value("routers").(map[string]*fake.Router)
}

func ownCertificate(ts *testscript.TestScript) (*tls.Certificate, string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "router"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	ts.Check(err)
	sum := sha256.Sum256(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, hex.EncodeToString(sum[:])
}

// changeRouter: `routerset NAME PATH ITEM FIELD=VALUE…` changes an item past all
// rules, `routerdrop NAME PATH ITEM` removes one.
func changeRouter(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 || routersOf(ts)[args[0]] == nil {
		ts.Fatalf("usage: routerset NAME PATH ITEM FIELD=VALUE…")
	}
	values := map[string]string{}
	for _, a := range args[3:] {
		name, value, _ := strings.Cut(a, "=")
		values[name] = value
	}
	ts.Check(routersOf(ts)[args[0]].Set(args[1], args[2], values))
}

func dropItem(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 || routersOf(ts)[args[0]] == nil {
		ts.Fatalf("usage: routerdrop NAME PATH ITEM")
	}
	r := routersOf(ts)[args[0]]
	for _, i := range r.Items(args[1]) {
		if i["name"] == args[2] || i["comment"] == args[2] {
			r.Drop(args[1], i[".id"])
		}
	}
}

// breakRouter: `routerfault NAME lose|drop COMMAND` breaks the connection once,
// after the router has done a command or before.
func breakRouter(ts *testscript.TestScript, neg bool, args []string) {
	how := map[string]fake.Breaking{"lose": fake.Lose, "drop": fake.Drop}
	if neg || len(args) != 3 || routersOf(ts)[args[0]] == nil || how[args[1]] == 0 {
		ts.Fatalf("usage: routerfault NAME lose|drop COMMAND")
	}
	routersOf(ts)[args[0]].Break(fake.Fault{On: args[2], How: how[args[1]]})
}

// dialRouter: `routerdial NAME USER PASSWORD` logs a subscriber in.
func dialRouter(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 || routersOf(ts)[args[0]] == nil {
		ts.Fatalf("usage: routerdial NAME USER PASSWORD")
	}
	_, err := routersOf(ts)[args[0]].Dial(context.Background(), fake.Subscriber{Name: args[1], Password: args[2], MAC: "00:00:5E:00:53:01"})
	ts.Check(err)
}
