package store

import (
	"context"
	"slices"

	"radial/aaa"
	"radial/ipam"
)

// holdTo takes down which logins of a claim are held to Simultaneous-Use. Their
// users are locked by both names, where a realm is taken off one.
func (c *claim) holdTo(ctx context.Context, db *DB, logins [][]ipam.Try) error {
	held := make([]*ipam.Admission, len(logins))
	some := false
	for i, tries := range logins {
		if len(tries) > 0 {
			held[i] = tries[0].Want.Admission
			some = some || held[i] != nil
		}
	}
	if !some {
		return nil
	}
	esc, err := db.Escaper(ctx)
	if err != nil {
		return err
	}
	c.admission = newAdmitting(esc, held)
	c.users = append(c.users, c.admission.locks()...)
	slices.Sort(c.users)
	c.users = slices.Compact(c.users)
	return nil
}

// mayLogIn judges a login by its Admission: nil for one that has none.
func (c *claim) mayLogIn(i int) (v *aaa.Admittance, ok bool) {
	if c.admission == nil || c.admission.logins[i] == nil {
		return nil, true
	}
	verdict, reached := c.admission.judge(i)
	if reached != nil {
		c.refused[i] = reached
		return nil, false
	}
	return &verdict, true
}
