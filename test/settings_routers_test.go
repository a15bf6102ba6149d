package test

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"radial/store/storetest"
	"radial/test/fakes/routeros"
	"radial/test/harness"
)

// playManaged runs a fake router, which asks from address and takes CoA there,
// and returns it with the ports of its API and of CoA.
func playManaged(t *testing.T, address string) (r *routeros.Router, api, coa string) {
	t.Helper()
	r, at := routeros.Play(t, routeros.Config{Identity: "pop1", Password: "geheim", Address: netip.MustParseAddr(address)}, nil)
	_, api, _ = net.SplitHostPort(at)
	_, coa, _ = net.SplitHostPort(r.PlayIncoming(t))
	return r, api, coa
}

// routerEffects are those of the settings of routers, which commands read.
func routerEffects() effectGroup {
	return effectGroup{
		name: "routers",
		effects: map[string]func(*testing.T, *world){
			"routers.timeout": func(t *testing.T, _ *world) {
				r, api, _ := playManaged(t, "127.0.0.1")
				r.Break(routeros.Fault{How: routeros.Mute})
				env := []string{"RADIAL_DATABASE_URL=" + storetest.New(t).URL(), "RADIAL_DATA_DIR=" + t.TempDir(), "RADIAL_ROUTERS_TIMEOUT=321ms"}
				out := harness.CLI(t, env, "router", "add", "pop1", "127.0.0.1", "--username", "admin", "--password", "geheim", "--port", api)
				if out.Code == 0 || !strings.Contains(out.Stderr, "no answer within 321ms") {
					t.Errorf("exit code %d\n%s", out.Code, out.Stderr)
				}
			},
			"routers.radius_servers": func(t *testing.T, _ *world) {
				_, api, _ := playManaged(t, "127.0.0.1")
				env := []string{"RADIAL_DATABASE_URL=" + storetest.New(t).URL(), "RADIAL_DATA_DIR=" + t.TempDir(), "RADIAL_ROUTERS_RADIUS_SERVERS=192.0.2.7,192.0.2.8:11812:11813"}
				must(t, harness.CLI(t, env, "nas", "add", "127.0.0.1", "--secret", "fake-s3cret", "--type", "mikrotik"))
				must(t, harness.CLI(t, env, "router", "add", "pop1", "127.0.0.1", "--username", "admin", "--password", "geheim", "--port", api))
				out := must(t, harness.CLI(t, env, "router", "configure", "pop1", "--radius", "--dry-run"))
				first, second := strings.Index(out, "radial ppp 192.0.2.7"), strings.Index(out, "radial ppp 192.0.2.8")
				if first < 0 || second < first || !strings.Contains(out, "accounting-port: 11813") {
					t.Error(out)
				}
			},
		},
	}
}
