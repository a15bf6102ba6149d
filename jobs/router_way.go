package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"radial/aaa"
	"radial/dictionaries"
	"radial/nas"
	"radial/nas/routeros"
)

// RouterWay does deeds by RouterOS's API (aaa.Way): the fallback for MikroTiks
// that do not answer CoA or Disconnect. The router must be known (radial router)
// and linked to the session's device. Safe for concurrent use.
type RouterWay struct {
	fleet *routeros.Fleet
	dict  *dictionaries.Dictionary
}

// NewRouterWay makes a RouterWay of the routers of a fleet.
func NewRouterWay(fleet *routeros.Fleet, dict *dictionaries.Dictionary) *RouterWay {
	return &RouterWay{fleet, dict}
}

const viaAPI = "api"

// Do ends a session (/ppp/active/remove, /ip/hotspot/active/remove), or changes
// its rate (/queue/simple/set). A rate is changed only where it is all that is
// due, and where the session's queue is not one that the router has made by
// itself, as it does of RADIUS's rates: else the effect is ResultUnsupported.
func (w *RouterWay) Do(ctx context.Context, d aaa.Deed) (aaa.Effect, error) {
	act, why := w.act(&d)
	if why != "" {
		return aaa.Effect{Result: aaa.ResultUnsupported, Detail: why}, nil
	}
	pool, router, err := w.fleet.PoolOfNAS(ctx, d.Device.ID)
	switch {
	case errors.Is(err, aaa.ErrNotFound):
		return aaa.Effect{Result: aaa.ResultUnsupported, Detail: "no router of radial router list is linked to nas " + d.Device.Name + ": its API cannot be asked"}, nil
	case errors.Is(err, aaa.ErrInvalid):
		return aaa.Effect{Result: aaa.ResultUnsupported, Detail: err.Error()}, nil
	case err != nil:
		return aaa.Effect{Result: aaa.ResultFailed, Detail: err.Error()}, err
	}
	gone, began := false, false
	err = pool.Write(ctx, func(c *routeros.Conn) (err error) {
		began = true
		gone, err = act(ctx, c)
		return err
	})
	e := effectOfAPI(err, gone, began)
	if e.Detail != "" {
		e.Detail = fmt.Sprintf("API of router %s: %s", router, e.Detail)
	}
	return e, nil
}

// act is what is to be done on the router; why says why there is nothing.
func (w *RouterWay) act(d *aaa.Deed) (act func(context.Context, *routeros.Conn) (bool, error), why string) {
	s := routeros.Seat{User: d.Session.Login.User, SessionID: d.Session.SessionID, Address: d.Session.Address}
	switch d.Do {
	case aaa.VerbDisconnect:
		return func(ctx context.Context, c *routeros.Conn) (bool, error) { return routeros.End(ctx, c, s) }, ""
	case aaa.VerbChange:
	default:
		return nil, fmt.Sprintf("%q is neither %s nor %s", d.Do, aaa.VerbChange, aaa.VerbDisconnect)
	}
	if d.Limits != nil {
		return nil, "the API changes a rate alone, and limits of time and volume are due"
	}
	soft, _ := nas.Split(d.Device, d.Reply)
	grant, ok := nas.ParseGrant(soft, w.dict)
	if !ok {
		return nil, "the API changes a rate alone, and none is due"
	}
	for _, p := range soft {
		if !isRate(p.Attr.Name) {
			return nil, fmt.Sprintf("the API changes a rate alone, and %s is due as well", p.Attr.Name)
		}
	}
	return func(ctx context.Context, c *routeros.Conn) (bool, error) {
		return routeros.SetRate(ctx, c, s, grant.Rate)
	}, ""
}

func isRate(name string) bool {
	return slices.Contains([]string{"Mikrotik-Rate-Limit", "Ascend-Data-Rate", "Ascend-Xmit-Rate"}, name) || strings.HasPrefix(name, "WISPr-Bandwidth-")
}

// effectOfAPI is what became of an act; began says that the router was reached.
func effectOfAPI(err error, gone, began bool) aaa.Effect {
	e := aaa.Effect{Result: aaa.ResultDone, Tries: 1, Via: viaAPI}
	var trap *routeros.Trap
	switch {
	case err == nil && gone:
		e.Result, e.Detail = aaa.ResultGone, "the router does not have the session"
	case err == nil:
	case !began:
		return aaa.Effect{Result: aaa.ResultFailed, Detail: err.Error()}
	case errors.Is(err, routeros.ErrFixedQueue):
		e.Result, e.Detail = aaa.ResultUnsupported, err.Error()
	case errors.As(err, &trap):
		e.Result, e.Detail = aaa.ResultRefused, err.Error()
	default:
		e.Result, e.Detail = aaa.ResultUnknown, err.Error()
	}
	return e
}
