package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"radial/test/fakes/routeros"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := newCmd().ExecuteContext(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "radial-fakerouter: %v\n", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	api, address, radius, secret, identity, version, user, password string
	coaPort                                                         uint16
	subscribers                                                     int
	names, subscriberPassword                                       string
	interim                                                         time.Duration
	up, down                                                        uint64
}

func newCmd() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "radial-fakerouter",
		Short: "Play a MikroTik router: its API, and PPPoE subscribers who log in by RADIUS",
		Long: `Plays a router as it comes out of its box, with RouterOS's API on --api. With --radius it asks that server for --subscribers PPPoE logins,
sends their accounting, and obeys CoA and Disconnect on --coa-port. Nothing of it is a real router: no packet is forwarded.`,
		Example: `  radial nas add 127.0.0.2 --name fake1 --secret fake-s3cret --type mikrotik --coa-port 3799
  radial-fakerouter --address 127.0.0.2 --radius 127.0.0.1 --secret fake-s3cret --subscribers 1 --names alice --subscriber-password wonderland`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), cmd.OutOrStdout(), o) },
	}
	fl := cmd.Flags()
	fl.StringVar(&o.api, "api", "127.0.0.1:8728", "`host:port` of the API")
	fl.StringVar(&o.identity, "identity", "MikroTik", "the router's `name`")
	fl.StringVar(&o.version, "version", "7.15.3 (stable)", "RouterOS `version` to play, from 6.42 on")
	fl.StringVar(&o.user, "user", "admin", "`name` of the API's user")
	fl.StringVar(&o.password, "password", "", "its `password`")
	fl.StringVar(&o.address, "address", "127.0.0.1", "`address` from which RADIUS is asked, and where CoA is taken")
	fl.StringVar(&o.radius, "radius", "", "RADIUS server as `host[:auth-port]`, accounting on the next port; empty: only what is configured by the API")
	fl.StringVar(&o.secret, "secret", "", "the server's `secret`")
	fl.Uint16Var(&o.coaPort, "coa-port", 3799, "UDP `port` of CoA and Disconnect")
	fl.IntVar(&o.subscribers, "subscribers", 0, "so many log in, `n` of them, one after the other")
	fl.StringVar(&o.names, "names", "user%d", "their names; %d is a number from 1 on, more names stand with commas between")
	fl.StringVar(&o.subscriberPassword, "subscriber-password", "", "the `password` of all of them")
	fl.DurationVar(&o.interim, "interim", 5*time.Minute, "interim interval where the server does not say")
	fl.Uint64Var(&o.up, "up", 12_500, "octets a second that each sends")
	fl.Uint64Var(&o.down, "down", 125_000, "octets a second that each receives")
	return cmd
}

func run(ctx context.Context, out io.Writer, o options) error {
	address, err := netip.ParseAddr(o.address)
	if err != nil {
		return fmt.Errorf("--address %q: want an IP address", o.address)
	}
	r, err := routeros.New(routeros.Config{Identity: o.identity, Version: o.version, User: o.user, Password: o.password, Address: address})
	if err != nil {
		return err
	}
	if err := configure(r, o); err != nil {
		return err
	}
	l, err := net.Listen("tcp", o.api)
	if err != nil {
		return fmt.Errorf("--api: %w", err)
	}
	incoming, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(address, o.coaPort)))
	if err != nil {
		return errors.Join(fmt.Errorf("--coa-port: %w", err), l.Close())
	}
	defer incoming.Close()
	fmt.Fprintf(out, "%s, RouterOS %s: API on %s, CoA on %s\n", o.identity, o.version, l.Addr(), incoming.LocalAddr())
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return r.Serve(ctx, l, nil) })
	g.Go(func() error { return r.ServeIncoming(ctx, incoming) })
	g.Go(func() error { return subscribers(ctx, out, r, o) })
	return g.Wait()
}

// configure sets the router's RADIUS client.
func configure(r *routeros.Router, o options) error {
	if o.radius == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(o.radius)
	if err != nil {
		host, port = o.radius, "1812"
	}
	var auth uint16
	if _, err := fmt.Sscan(port, &auth); err != nil || auth == 0 {
		return fmt.Errorf("--radius %q: want host or host:port", o.radius)
	}
	_, err = r.Put("/radius", map[string]string{
		"service": "ppp", "address": host, "secret": o.secret, "timeout": "1100ms",
		"authentication-port": port, "accounting-port": fmt.Sprint(auth + 1),
	})
	if err != nil {
		return err
	}
	return errors.Join(
		r.Set("/ppp/aaa", "", map[string]string{"use-radius": "true", "accounting": "true", "interim-update": o.interim.String()}),
		r.Set("/radius/incoming", "", map[string]string{"accept": "true", "port": fmt.Sprint(o.coaPort)}))
}

// subscribers log in, move octets each second, and log in again when they were
// thrown out.
func subscribers(ctx context.Context, out io.Writer, r *routeros.Router, o options) error {
	names := strings.Split(o.names, ",")
	live := make([]*routeros.Session, o.subscribers)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		for n := range live {
			if live[n] != nil && !live[n].Ended() {
				if err := live[n].Transfer(ctx, o.up, o.down); err != nil {
					fmt.Fprintf(out, "%s: %v\n", live[n].Subscriber.Name, err)
				}
				continue
			}
			name := names[n%len(names)]
			if strings.Contains(name, "%d") {
				name = strings.ReplaceAll(name, "%d", fmt.Sprint(n+1))
			}
			s, err := r.Dial(ctx, routeros.Subscriber{
				Name: name, Password: o.subscriberPassword, MAC: fmt.Sprintf("00:00:5E:%02X:%02X:%02X", n>>16&0xFF, n>>8&0xFF, n&0xFF),
			})
			if ctx.Err() != nil {
				return nil
			}
			if err != nil {
				fmt.Fprintf(out, "%s: %v\n", name, err)
			}
			if s != nil {
				live[n] = s
				fmt.Fprintf(out, "%s: %s, address %s, rate %s\n", name, s.ID, s.Address, s.Rate())
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
