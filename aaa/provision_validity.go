package aaa

import (
	"fmt"
	"time"
)

// Renewal says until when a subscriber is renewed: Until, else for Days, else
// for as long as his package is valid or paid for.
type Renewal struct {
	Until time.Time
	Days  int64
}

// RenewSubscriber gives a subscriber more time, from the end of what he has, or
// from now on where that has passed. One who had expired is active again; one who
// is suspended or inactive stays so.
func (p *Provisioner) RenewSubscriber(r Renewal) func(Account) (AccountDelta, error) {
	return func(acc Account) (AccountDelta, error) {
		if acc.Subscriber == nil {
			return AccountDelta{}, fmt.Errorf("user %q: %w", acc.Name, ErrNotFound)
		}
		end, err := r.end(acc, p.Now().In(p.Zone))
		if err != nil {
			return AccountDelta{}, fmt.Errorf("user %q: %w", acc.Name, err)
		}
		return p.change(acc, SubscriberChange{Expires: &end}, nil)
	}
}

func (r *Renewal) end(acc Account, now time.Time) (time.Time, error) {
	from := now.Truncate(time.Second)
	if e := acc.Subscriber.Expires; e != nil && e.After(from) {
		from = e.In(now.Location())
	}
	switch b := acc.Bought; {
	case !r.Until.IsZero() && !r.Until.After(now):
		return now, fmt.Errorf("renewal until %s: that has passed: %w", r.Until.Format(time.DateTime), ErrInvalid)
	case !r.Until.IsZero():
		return r.Until, nil
	case r.Days < 0 || r.Days > maxValidity:
		return now, fmt.Errorf("renewal for %d days: want 1 to %d: %w", r.Days, maxValidity, ErrInvalid)
	case r.Days > 0:
		return from.AddDate(0, 0, int(r.Days)), nil
	case b == nil:
		return now, fmt.Errorf("no package that says how long it is valid; say --days or --until: %w", ErrInvalid)
	default:
		return b.validFrom(from)
	}
}

// validFrom is the end of a package's validity, else of its billing cycle, that
// begins at a time. Months end on their last day where they have not so many.
func (p *Package) validFrom(from time.Time) (time.Time, error) {
	months := map[BillingCycle]int{"monthly": 1, "quarterly": 3, "yearly": 12}[p.BillingCycle]
	switch {
	case p.ValidityDays > 0:
		return from.AddDate(0, 0, int(p.ValidityDays)), nil
	case months > 0:
		end := from.AddDate(0, months, 0)
		if end.Day() != from.Day() {
			end = end.AddDate(0, 0, -end.Day())
		}
		return end, nil
	case p.BillingCycle == "daily":
		return from.AddDate(0, 0, 1), nil
	}
	return from, fmt.Errorf("package %q is paid once and has no validity; say --days or --until: %w", p.Name, ErrInvalid)
}

// ExpireSubscriber makes the state of an active subscriber follow his end date,
// if that has passed by now; else it changes nothing.
func (p *Provisioner) ExpireSubscriber(acc Account) (AccountDelta, error) {
	s := acc.Subscriber
	if s == nil || s.Status != SubscriberActive || s.Refused(p.Now()) != SubscriberExpired {
		return AccountDelta{}, nil
	}
	expired := SubscriberExpired
	return p.change(acc, SubscriberChange{Status: &expired}, nil)
}
