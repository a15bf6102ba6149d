package routeros

import (
	"context"
	"net"
	"net/netip"
	"strconv"
)

// Asked is what a router counts of a RADIUS server, since it began to count.
type Asked struct {
	Address                             netip.Addr
	Service                             string // ppp, hotspot, several with commas between
	Ours, Disabled                      bool
	Requests, Accepts, Rejects, Resends uint64
	Timeouts, BadReplies                uint64
	LastRTT                             string // as the router prints it
}

// RADIUSMonitor asks a router what it counts of its RADIUS servers
// (/radius/monitor), in their order.
func RADIUSMonitor(ctx context.Context, c *Conn) ([]Asked, error) {
	servers, err := c.Run(ctx, "/radius/print")
	if err != nil {
		return nil, err
	}
	var all []Asked
	for _, s := range servers.Rows {
		a := Asked{Ours: Ours(s), Service: s["service"], Disabled: s["disabled"] == "true"}
		if address, err := netip.ParseAddr(s["address"]); err == nil {
			a.Address = address
		}
		counted, err := c.Run(ctx, "/radius/monitor", "=.id="+s[".id"], "=once=")
		if err != nil {
			return nil, err
		}
		for _, r := range counted.Rows {
			a.LastRTT = r["last-request-rtt"]
			for name, to := range map[string]*uint64{
				"requests": &a.Requests, "accepts": &a.Accepts, "rejects": &a.Rejects, "resends": &a.Resends, "timeouts": &a.Timeouts, "bad-replies": &a.BadReplies,
			} {
				if n, err := strconv.ParseUint(r[name], 10, 64); err == nil {
					*to = n // one that a version does not tell is 0
				}
			}
		}
		all = append(all, a)
	}
	return all, nil
}

// Local is our own address of the connection: where a router can reach us, if
// nothing on the way translates addresses.
func (c *Conn) Local() netip.Addr { return addressOf(c.net.LocalAddr()) }

// Remote is the router's address of the connection.
func (c *Conn) Remote() netip.Addr { return addressOf(c.net.RemoteAddr()) }

func addressOf(of net.Addr) netip.Addr {
	a, err := netip.ParseAddrPort(of.String())
	if err != nil {
		return netip.Addr{}
	}
	return a.Addr().Unmap().WithZone("")
}
