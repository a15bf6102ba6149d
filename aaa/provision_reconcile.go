package aaa

// StoredRow is a row as it stands in one of FreeRADIUS's tables.
type StoredRow struct {
	ID int64
	ProjectedRow
	// Digest is what radial.projection says that we wrote there; "" for a row
	// that we never wrote.
	Digest string
}

// Ours tells whether the row is as we wrote it.
func (r StoredRow) Ours() bool { return r.Digest != "" && r.Digest == r.ProjectedRow.Digest() }

// Changed tells whether we wrote the row and somebody changed it since: then
// it is theirs.
func (r StoredRow) Changed() bool { return r.Digest != "" && !r.Ours() }

// LostRow is an entry of radial.projection whose row somebody removed.
type LostRow struct {
	Table  Table
	ID     int64
	Digest string
}

// RowDelta is what a change does to FreeRADIUS's tables and to
// radial.projection.
type RowDelta struct {
	Insert []ProjectedRow // new rows, ours
	Update []RowUpdate    // rows that get another content, ours from then on
	Delete []StoredRow
	Keep   []ProjectedRow // rows of others in radreply that stand anew, after those of ours that took their places
	Forget []LostRow      // entries without a row that say nothing any more
	Drift  []Drift        // what others changed, left as it is
}

// Empty tells whether nothing would be written.
func (d *RowDelta) Empty() bool {
	return len(d.Insert)+len(d.Update)+len(d.Delete)+len(d.Forget) == 0
}

// RowUpdate writes To over From; where both are equal only the ownership is
// taken.
type RowUpdate struct {
	From StoredRow
	To   ProjectedRow
}

// DriftKind says how a row differs from its projection.
type DriftKind string

// The kinds of drift.
const (
	DriftChanged DriftKind = "changed" // somebody changed the row
	DriftRemoved DriftKind = "removed" // somebody removed the row
)

// Drift is a difference that a sync left alone. Want is what the projection
// says ("" where it says nothing any more), Have what stands there.
type Drift struct {
	Kind DriftKind
	Want *ProjectedRow
	Have *StoredRow
}

// overwrite says how far a reconciliation may go into rows of others.
type overwrite struct {
	// force takes back rows of ours that others changed or removed.
	force bool
	// claims are what the operator named in this very change: whatever stands
	// under these keys is replaced, whoever wrote it.
	claims map[rowKey]bool
}

// reconcile compares what the projection wants with what stands there. It is
// the whole of design "Ownership of rows": rows that others wrote stay, rows
// of ours that others changed stay unless told otherwise, and running it again
// on its own result does nothing.
func reconcile(want []ProjectedRow, have []StoredRow, lost []LostRow, how overwrite) RowDelta {
	var d RowDelta
	wanted := make([]bool, len(want)) // settled: stands there, or was left alone as drift
	kept := make([]bool, len(have))   // settled: stays as it is, or was written over
	// Rows that are right already; ours before those of others, so that a
	// double of somebody else does not make us delete the one we own.
	for _, pass := range []func(StoredRow) bool{StoredRow.Ours, func(r StoredRow) bool { return !r.Ours() }} {
		for i, w := range want {
			for j := 0; j < len(have) && !wanted[i]; j++ {
				if kept[j] || !pass(have[j]) || have[j].ProjectedRow != w {
					continue
				}
				wanted[i], kept[j] = true, true
				if !have[j].Ours() && (how.claims[w.key()] || have[j].Changed()) {
					d.Update = append(d.Update, RowUpdate{have[j], w})
				}
			}
		}
	}
	mine := func(r StoredRow) bool {
		return r.Ours() || how.claims[r.key()] || how.force && r.Changed()
	}
	// Written over in place, so that a row keeps its id and with it its order.
	for i, w := range want {
		for j := 0; j < len(have) && !wanted[i]; j++ {
			if !kept[j] && mine(have[j]) && have[j].key() == w.key() {
				d.Update = append(d.Update, RowUpdate{have[j], w})
				wanted[i], kept[j] = true, true
			}
		}
	}
	for j, h := range have {
		switch {
		case kept[j]:
		case mine(h):
			d.Delete = append(d.Delete, h)
		case h.Changed():
			d.Drift = append(d.Drift, Drift{DriftChanged, takeDigest(want, wanted, h.Digest), &have[j]})
		}
	}
	for _, l := range lost {
		w := digestAmong(want, wanted, l.Digest)
		if w >= 0 && !how.force && !how.claims[want[w].key()] {
			wanted[w] = true
			d.Drift = append(d.Drift, Drift{DriftRemoved, &want[w], nil})
			continue
		}
		d.Forget = append(d.Forget, l)
	}
	for i, w := range want {
		if !wanted[i] {
			d.Insert = append(d.Insert, w)
		}
	}
	return d
}

// digestAmong finds the unsettled wanted row with a digest, or -1.
func digestAmong(want []ProjectedRow, settled []bool, digest string) int {
	for i, w := range want {
		if !settled[i] && w.Digest() == digest {
			return i
		}
	}
	return -1
}

// takeDigest settles the wanted row with a digest and returns it, or nil.
func takeDigest(want []ProjectedRow, settled []bool, digest string) *ProjectedRow {
	i := digestAmong(want, settled, digest)
	if i < 0 {
		return nil
	}
	settled[i] = true
	return &want[i]
}
