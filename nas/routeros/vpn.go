package routeros

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"radial/nas"
)

// VPNServices are the tunnels that a router can serve.
func VPNServices() []string { return slices.Clone(vpnServices) }

// VPNServer is a router's server of one kind of tunnel. A field that is nil or
// empty stays as it is.
type VPNServer struct {
	Service        string     `json:"service"` // l2tp, ovpn, pptp, sstp
	Enabled        *bool      `json:"enabled"`
	Profile        string     `json:"default_profile"`
	Authentication []string   `json:"authentication"` // pap, chap, mschap1, mschap2
	IPsec          string     `json:"use_ipsec"`      // of l2tp: yes, no, required
	IPsecSecret    nas.Secret `json:"-"`
	Certificate    string     `json:"certificate"` // of sstp and ovpn
}

func (v VPNServer) path() string { return "/interface/" + v.Service + "-server/server" }

// row has what is to be set.
func (v VPNServer) row() (Row, error) {
	e := newEncoder()
	if !slices.Contains(vpnServices, v.Service) {
		e.wrong("service", v.Service, "one of "+strings.Join(vpnServices, ", "))
	}
	if v.Enabled != nil {
		e.flag("enabled", *v.Enabled)
	}
	if v.Profile != "" {
		e.text("default-profile", v.Profile)
	}
	for _, a := range v.Authentication {
		if !slices.Contains([]string{"pap", "chap", "mschap1", "mschap2"}, a) || v.Service == "ovpn" {
			e.wrong("authentication", a, "pap, chap, mschap1, mschap2, of l2tp, pptp and sstp")
		}
	}
	if len(v.Authentication) > 0 {
		e.text("authentication", strings.Join(v.Authentication, ","))
	}
	if v.IPsec != "" || v.IPsecSecret != "" {
		if v.Service != "l2tp" {
			e.wrong("use-ipsec", v.IPsec, "the service l2tp: no other has it")
		}
		if v.IPsec != "" {
			e.oneOf("use-ipsec", v.IPsec, "", "yes", "no", "required")
		}
		e.secret("ipsec-secret", v.IPsecSecret)
	}
	if v.Certificate != "" {
		if v.Service != "sstp" && v.Service != "ovpn" {
			e.wrong("certificate", v.Certificate, "the service sstp or ovpn: the others have none")
		}
		e.text("certificate", v.Certificate)
	}
	return e.done("vpn server " + v.Service)
}

// PutVPNServer sets what differs of a server's settings.
func PutVPNServer(ctx context.Context, c *Conn, v VPNServer, dryRun bool) (Change, error) {
	row, err := v.row()
	if err != nil {
		return Change{}, err
	}
	reply, err := c.Run(ctx, v.path()+"/print")
	if err != nil {
		return Change{}, err
	}
	if len(reply.Rows) != 1 || reply.Rows[0][".id"] != "" {
		return Change{}, fmt.Errorf("the router has a list of %s servers, as RouterOS 7.17 and later do for ovpn: Radial sets the one of earlier versions alone", v.Service)
	}
	return EnsureSettings(ctx, c, v.path(), row, dryRun)
}

// VPNServers are the settings of all servers that the router has.
func VPNServers(ctx context.Context, c *Conn) ([]VPNServer, error) {
	var all []VPNServer
	for _, service := range vpnServices {
		v := VPNServer{Service: service}
		reply, err := c.Run(ctx, v.path()+"/print")
		if IsMissing(err) {
			continue // the package is not there, or switched off
		}
		if err != nil {
			return nil, err
		}
		for _, r := range reply.Rows { // a list on 7.17 and later for ovpn
			d := decoder{row: r}
			on := d.flag("enabled") || r["enabled"] == "" && r["disabled"] == "false"
			v.Enabled, v.Profile, v.Authentication = &on, d.text("default-profile"), d.words("authentication")
			v.IPsec, v.IPsecSecret, v.Certificate = d.text("use-ipsec"), nas.Secret(d.text("ipsec-secret")), d.text("certificate")
			if err := d.done("vpn server " + service); err != nil {
				return nil, err
			}
			all = append(all, v)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("vpn servers: %w", ErrNoItem)
	}
	return all, nil
}
