package routeros

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// radiusServer is an entry of /radius.
type radiusServer struct {
	id         string // in /radius
	address    string
	auth, acct int
	secret     string
	timeout    time.Duration
	messageMA  bool
}

// radiusTries is how often a request is sent to a server before the next one
// is asked. The manual says "a few times".
const radiusTries = 3

var errNoServer = errors.New("no RADIUS server has answered")

// servers are the entries of /radius for PPP, in their order.
func (r *Router) servers() []radiusServer {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []radiusServer
	for _, i := range r.items["/radius"] {
		v := i.values
		if v["disabled"] == "true" || !slices.Contains(strings.Split(v["service"], ","), "ppp") {
			continue
		}
		auth, _ := strconv.Atoi(v["authentication-port"])
		acct, _ := strconv.Atoi(v["accounting-port"])
		timeout, _ := parseTime(v["timeout"])
		out = append(out, radiusServer{
			id: i.id, address: v["address"], auth: auth, acct: acct, secret: v["secret"], timeout: timeout, messageMA: !r.version.before(version{7, 15}),
		})
	}
	return out
}

// ask sends an access or accounting request to the servers, one after the other, each a
// few times, the same bytes each time. build makes the request for a server.
func (r *Router) ask(ctx context.Context, acct bool, build func(s radiusServer) *packet) (*packet, error) {
	for _, s := range r.servers() {
		p := build(s)
		p.id = byte(r.radiusID.Add(1))
		port, b := s.auth, []byte(nil)
		if acct {
			port, b = s.acct, p.acctBytes(s.secret)
		} else {
			b = p.accessBytes(s.secret, s.messageMA)
		}
		reply, err := r.exchange(ctx, s, net.JoinHostPort(s.address, strconv.Itoa(port)), b, p.auth)
		if reply != nil || ctx.Err() != nil {
			return reply, err
		}
	}
	return nil, errNoServer
}

func (r *Router) exchange(ctx context.Context, s radiusServer, to string, b []byte, auth [16]byte) (*packet, error) {
	d := net.Dialer{}
	if r.config.Address.IsValid() {
		d.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(r.config.Address, 0))
	}
	conn, err := d.DialContext(ctx, "udp", to)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buffer := make([]byte, 4096)
	count := r.counters(s.id)
	count.requests.Add(1)
	for try := range radiusTries {
		if try > 0 {
			count.resends.Add(1)
		}
		if _, err := conn.Write(b); err != nil && ctx.Err() != nil {
			return nil, err
		}
		for until := r.now().Add(s.timeout); ; {
			conn.SetReadDeadline(until)
			n, err := conn.Read(buffer)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if err != nil {
				if wait := until.Sub(r.now()); wait > 0 { // refused: nobody listens there yet
					select {
					case <-ctx.Done():
						return nil, ctx.Err()
					case <-time.After(wait):
					}
				}
				break
			}
			reply, err := parsePacket(buffer[:n])
			if err != nil || reply.id != b[1] || !genuineReply(buffer[:n], auth, s.secret) {
				count.badReplies.Add(1)
				continue // dropped, as /radius monitor counts it
			}
			if reply.code == codeAccessReject {
				count.rejects.Add(1)
			} else {
				count.accepts.Add(1)
			}
			return reply, nil
		}
	}
	count.timeouts.Add(1)
	return nil, errNoServer
}

func randomAuth() (a [16]byte) {
	rand.Read(a[:])
	return a
}

// radiusCount is what /radius monitor tells of a server.
type radiusCount struct{ requests, accepts, rejects, resends, timeouts, badReplies atomic.Uint64 }

func (r *Router) counters(id string) *radiusCount {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.countersLocked(id)
}

func (r *Router) countersLocked(id string) *radiusCount {
	c := r.counts[id]
	if c == nil {
		c = &radiusCount{}
		r.counts[id] = c
	}
	return c
}

// monitorRADIUS answers /radius/monitor once= for one server.
func (r *Router) monitorRADIUS(m *menu, cmd command) ([][]string, error) {
	if _, once := cmd.args.values["once"]; !once {
		return nil, &trap{trapArgument, "the fake router monitors with =once= alone"}
	}
	args := cmd.args
	found, err := r.targets(m, &args)
	if err != nil {
		return nil, err
	}
	c := r.countersLocked(found[0].id)
	words := []string{"!re", "=pending=0"}
	for _, v := range []struct {
		name string
		n    *atomic.Uint64
	}{{"requests", &c.requests}, {"accepts", &c.accepts}, {"rejects", &c.rejects}, {"resends", &c.resends}, {"timeouts", &c.timeouts}, {"bad-replies", &c.badReplies}} {
		words = append(words, "="+v.name+"="+strconv.FormatUint(v.n.Load(), 10))
	}
	return [][]string{append(words, "=last-request-rtt=0ms"), {"!done"}}, nil
}
