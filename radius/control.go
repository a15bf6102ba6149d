package radius

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"

	"radial/aaa"
	"radial/dictionaries"
	"radial/nas"
)

// Control is how sessions are changed and ended at their devices (aaa.Way): by
// CoA and Disconnect to the port and with the attributes that the device's row
// and profile say. It is safe for concurrent use; dae must run.
type Control struct {
	dae  *DAE
	dict *dictionaries.Dictionary
	opts ControlOptions
}

// ControlOptions are the settings of a Control.
type ControlOptions struct {
	// Source is the address that CoA and Disconnect leave from. The zero one: the
	// address of ours that the device sends its own requests to, where it has sent
	// any to this server, else what the system chooses.
	Source netip.Addr
	// Fallback is asked where the device did not answer, or refused, or cannot do by
	// RADIUS what is wanted. Nil: there is none.
	Fallback aaa.Way
}

// NewControl makes a Control that sends by dae.
func NewControl(dae *DAE, o ControlOptions) *Control {
	return &Control{dae: dae, dict: dae.dict, opts: o}
}

// Do does a deed, and the fallback where that is of use. The effect tells of the
// last way that was tried.
func (c *Control) Do(ctx context.Context, d aaa.Deed) (aaa.Effect, error) {
	effect, err := c.byRADIUS(ctx, d)
	if c.opts.Fallback == nil || ctx.Err() != nil || effect.Result == aaa.ResultDone || effect.Result == aaa.ResultGone {
		return effect, err
	}
	other, otherErr := c.opts.Fallback.Do(ctx, d)
	if otherErr != nil || other.Result == aaa.ResultUnsupported || other.Result == aaa.ResultFailed {
		if other.Detail != "" {
			effect.Detail += "; " + other.Detail
		}
		return effect, errors.Join(err, otherErr)
	}
	if effect.Detail != "" {
		other.Detail = effect.Detail + "; then " + cmp.Or(other.Detail, string(other.Result)+" by "+other.Via)
	}
	return other, nil
}

// byRADIUS sends a CoA or Disconnect.
func (c *Control) byRADIUS(ctx context.Context, d aaa.Deed) (aaa.Effect, error) {
	request, why := c.request(&d)
	if why != "" {
		return aaa.Effect{Result: aaa.ResultUnsupported, Detail: why}, nil
	}
	reply, err := c.dae.Do(ctx, request)
	if err != nil && request.From.IsValid() && request.From != c.opts.Source && !errors.Is(err, ErrNoAnswer) && !errors.Is(err, ErrDAEClosed) && ctx.Err() == nil {
		request.From = netip.Addr{} // an address that was ours and is not any more
		reply, err = c.dae.Do(ctx, request)
	}
	switch {
	case err == nil:
		return effectOf(d.Do, reply), nil
	case errors.Is(err, ErrNoAnswer):
		return aaa.Effect{Result: aaa.ResultUnknown, Detail: silence(request.To, err), Tries: c.dae.opts.Tries, Via: viaCoA}, nil
	default:
		return aaa.Effect{Result: aaa.ResultFailed, Detail: err.Error()}, err
	}
}

const viaCoA = "coa"

// request is what is sent for a deed; why says why there is nothing to send.
func (c *Control) request(d *aaa.Deed) (r DAERequest, why string) {
	to, ok := daeAddress(d)
	if !ok {
		return r, fmt.Sprintf("the row of nas with %s is a network, and the session's NAS-IP-Address %s is not in it: where to send to is not known", d.Device.Name, d.Session.NAS)
	}
	if d.Device.Settings.CoAPort == 0 {
		return r, fmt.Sprintf("%s takes neither CoA nor Disconnect (CoA port 0)", d.Device.Name)
	}
	r = DAERequest{To: netip.AddrPortFrom(to, d.Device.Settings.CoAPort), Secret: d.Device.Secret, From: c.from(d.Device, to), Code: DisconnectRequest}
	r.Pairs = nas.Identify(d.Device, nas.Live{
		User: d.Session.Login.User, SessionID: d.Session.SessionID, CallingStation: d.Session.Login.CallingStation, Address: d.Session.Address,
	}, c.dict)
	if len(r.Pairs) == 0 {
		return r, "the session has neither a name nor an id to be found by"
	}
	switch d.Do {
	case aaa.VerbDisconnect:
	case aaa.VerbChange:
		if d.Limits != nil {
			r.Code, r.Pairs = CoARequest, append(r.Pairs, d.Limits...)
			break
		}
		soft, _ := nas.Split(d.Device, nas.ShapeReply(d.Device, d.Reply, c.dict))
		if len(soft) == 0 || !nas.ChangeableBy(d.Device).CoA {
			return r, fmt.Sprintf("nothing of what is due can be changed by CoA on a device of type %s", d.Device.Type)
		}
		r.Code = CoARequest
		r.Pairs = append(r.Pairs, soft...)
	default:
		return r, fmt.Sprintf("%q is neither %s nor %s", d.Do, aaa.VerbChange, aaa.VerbDisconnect)
	}
	return r, ""
}

// from is the address that a device takes requests from: what the settings say,
// else the one that it sends its own requests to.
func (c *Control) from(dev *nas.Device, to netip.Addr) netip.Addr {
	if source := c.opts.Source.Unmap(); source.IsValid() && source.Is4() == to.Unmap().Is4() {
		return source
	}
	if dev.Learnt == nil {
		return netip.Addr{}
	}
	if asked := dev.Learnt.Asked.Load(); asked != nil && asked.Is4() == to.Unmap().Is4() {
		return *asked
	}
	return netip.Addr{}
}

// daeAddress is where a device takes CoA: where its packets come from. That is
// its row's own address, or for a row of a network what the session's packets
// said.
func daeAddress(d *aaa.Deed) (netip.Addr, bool) {
	if d.Device.Prefix.IsSingleIP() {
		return d.Device.Prefix.Addr(), true
	}
	return d.Session.NAS, d.Session.NAS.IsValid() && d.Device.Prefix.Contains(d.Session.NAS.Unmap())
}

// effectOf reads a device's answer (RFC 5176 §3.5, §3.6).
func effectOf(do aaa.Verb, r *DAEReply) aaa.Effect {
	e := aaa.Effect{Result: aaa.ResultDone, Cause: uint32(r.Cause), Tries: r.Tries, RTT: r.RTT, Via: viaCoA}
	switch {
	case r.ACK:
		return e
	case r.Cause == CauseSessionNotFound:
		e.Result = aaa.ResultGone
	case r.Cause.unsupported(do):
		e.Result = aaa.ResultUnsupported
	default:
		e.Result = aaa.ResultRefused
	}
	e.Detail = r.Cause.explain()
	return e
}

// silence says what may be behind it that no valid answer came.
func silence(to netip.AddrPort, err error) string {
	if errors.Is(err, ErrBadAuthenticator) || errors.Is(err, ErrBadMessageAuthenticator) {
		return fmt.Sprintf("%s answered, but not with our secret: the secrets differ, or it is forged", to)
	}
	return fmt.Sprintf("no answer from %s: the device is away, listens on another port (3799 or 1700), does not take requests from our address, or has another secret", to)
}
