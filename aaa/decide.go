package aaa

import (
	"radial/nas"
)

// Decide says what follows from what a session has and what is due to it. What
// cannot be told is no reason for anything, and a session of which nobody knows
// what it has is told what it should have, and never ended for that.
func Decide(s *LiveSession, d *Due) Action {
	switch {
	case d.Unsure != "":
		return Action{Why: d.Unsure}
	case d.Refused != ReasonNone:
		return Action{Do: VerbDisconnect, Why: string(d.Refused) + ": " + d.Detail}
	case d.Device == nil || d.Mark == (Mark{}):
		return Action{Why: "no row of nas has its device"}
	}
	have, can := s.Mark(), nas.ChangeableBy(d.Device)
	if d.elsewhere && s.Applied == (Mark{}) {
		have = Mark{} // that was marked by the type of another device
	}
	switch {
	case have == d.Mark || have != (Mark{}) && nas.SameGrants(have.Soft, have.Hard, d.Mark.Soft, d.Mark.Hard):
		return Action{}
	case have == (Mark{}) && !can.CoA:
		return Action{Why: "nobody knows what it has, and its device takes no CoA"}
	case have == (Mark{}):
		return Action{Do: VerbChange, Gently: true, Why: "nobody knows what it has"}
	case have.Hard != d.Mark.Hard:
		return Action{Do: VerbDisconnect, Why: "address, pool or what else a CoA cannot change is another"}
	case nas.Lost(have.Soft, d.Mark.Soft):
		return Action{Do: VerbDisconnect, Why: "it has something that a CoA cannot take away"}
	case !can.CoA:
		return Action{Do: VerbDisconnect, Why: "its device takes no CoA"}
	}
	return Action{Do: VerbChange, Why: "what it is granted is another"}
}
