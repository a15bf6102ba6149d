package routeros

import (
	"strings"
)

// IPPool is a pool of IPv4 addresses on the router (/ip/pool). Routers before
// 7.5 have no comment for it.
type IPPool struct {
	Name     string   `json:"name"`
	Ranges   []string `json:"ranges"` // "10.0.0.2-10.0.0.254", "10.1.0.0/24", "10.2.0.1"
	NextPool string   `json:"next_pool"`
}

// Kind is KindIPPool.
func (p IPPool) Kind() Kind { return KindIPPool }

// Identity is the name.
func (p IPPool) Identity() (name, scope string) { return p.Name, "" }

// Row has the fields of /ip/pool.
func (p IPPool) Row() (Row, error) {
	e := newEncoder()
	e.name(p.Name)
	if len(p.Ranges) == 0 {
		e.wrong("ranges", "", "one range at least, as in 10.0.0.2-10.0.0.254")
	}
	for _, r := range p.Ranges {
		if first, ok := span(r); !ok || !first.Is4() {
			e.wrong("ranges", r, "IPv4 addresses, as in 10.0.0.2-10.0.0.254, 10.1.0.0/24 or 10.2.0.1")
		}
	}
	e.row["ranges"] = strings.Join(p.Ranges, ",")
	e.text("next-pool", p.NextPool)
	return e.done("ippool " + p.Name)
}

// IPPoolOf reads a pool.
func IPPoolOf(i Item) (IPPool, error) {
	if err := wrongKind(i, KindIPPool); err != nil {
		return IPPool{}, err
	}
	d := decoder{row: i.Fields}
	p := IPPool{Name: i.Name, Ranges: d.words("ranges"), NextPool: d.text("next-pool")}
	if p.NextPool == "none" {
		p.NextPool = ""
	}
	return p, d.done("ippool " + i.Name)
}
