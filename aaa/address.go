package aaa

import "strings"

// poolChoices are the control items that choose pools of ours, all of them known
// to a stock FreeRADIUS, by what a login gets from them.
var poolChoices = []string{"Pool-Name", "Framed-IPv6-Pool", "Delegated-IPv6-Prefix-Pool", "Stateful-IPv6-Address-Pool"}

// ChoosesPool tells whether a check item that sets this attribute names a pool
// of ours, by name in any case.
func ChoosesPool(attribute string) bool {
	for _, name := range poolChoices {
		if strings.EqualFold(attribute, name) {
			return true
		}
	}
	return false
}
