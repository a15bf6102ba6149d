package aaa

// lookAt tells for each reason where a person who has to mend it begins:
// docs/refusals.md has the same texts.
var lookAt = map[Reason]string{
	ReasonUnknownUser:      "the spelling (names are case-sensitive), blanks, a realm that `strip_realm` should take off",
	ReasonBadPassword:      "the password; for all users of one NAS: its shared secret, since PAP passwords then arrive garbled",
	ReasonNoPassword:       "the operator of the password row: it needs `:=`; or `radial user set NAME --password …`",
	ReasonNoCredential:     "what the NAS sends; a login by MAC address alone wants `Auth-Type := Accept`",
	ReasonMethodImpossible: "how the password is kept: as `cleartext` (or `nt` for MS-CHAP); or let the NAS use PAP",
	ReasonAuthType:         "the Auth-Type row",
	ReasonAuthTypeReject:   "the status: suspended, expired, or an Auth-Type row of somebody's; `radial user show NAME`",
	ReasonCheckFailed:      "the row that the detail names, and what the NAS sends instead",
	ReasonUnparsableItem:   "the row that the detail names: it tells what would be right",
	ReasonUnsupportedCheck: "the attribute that the detail names: take it away, or enforce it elsewhere",
	ReasonExpired:          "`radial user set NAME --expires …` or `--no-expires`",
	ReasonOutsideHours:     "the Login-Time row; the time zone that `radial doctor` tells; `login_time.minimum`",
	ReasonTimeUsed:         "`radial user explain NAME`: what is used of the item that the detail names; `radial user set NAME --check …`",
	ReasonDataUsed:         "`radial user explain NAME`: what is used; `radial user topup NAME 10G`, or another quota (`radial user set NAME --quota …`)",
	ReasonSimultaneousUse:  "`radial user explain NAME` lists them; sessions whose Stop was lost: `simultaneous_use.replace`, Accounting-On of the NAS, or close the row in radacct",
	ReasonBadUsername:      "the name: `filter_username` refuses it",
	ReasonPoolUnknown:      "`radial pool list` (name, kind), the row that names it, the package's pool or the device's, the VRF of the NAS",
	ReasonPoolFull:         "`radial pool show POOL`: add a subnet, or a pool to fall back to (`ipam.fallback_pools`); the setting `pool_full`",
	ReasonPoolInactive:     "`radial pool show POOL`: its status, and that of its subnets; name another pool, or set it active",
	ReasonReplyTooLong:     "the reply rows: there are too many",
	ReasonBadCredential:    "the device: what it sends is malformed",
	ReasonEAPUnsupported:   "the NAS: EAP is not here yet, let it use PAP, CHAP or MS-CHAP",
}

// LookAt tells a person where to begin; "" for ReasonNone.
func (r Reason) LookAt() string { return lookAt[r] }
