package routeros

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var ruleFields = []string{"chain", "action", "protocol", "src-address", "dst-address", "src-port", "dst-port", "in-interface", "out-interface",
	"in-interface-list", "out-interface-list", "src-address-list", "dst-address-list", "address-list", "address-list-timeout", "connection-state",
	"jump-target", "reject-with", "log", "log-prefix", "disabled"}

// ruleMark stands before a rule's name in its comment: rules have no names of
// their own.
const ruleMark = "rule:"

// Rule is a filter rule of the router's firewall.
type Rule struct {
	Name               string   `json:"name"`  // ours, in its comment
	Chain              string   `json:"chain"` // input, forward, output, or one of the router's own
	Action             string   `json:"action"`
	Protocol           string   `json:"protocol"` // a name or a number; "" is all
	SrcAddress         string   `json:"src_address"`
	DstAddress         string   `json:"dst_address"` // an address, a network, a range; ! before it is "not"
	SrcPort            string   `json:"src_port"`    // 53, 80,443, 1000-2000; ! before it is "not"
	DstPort            string   `json:"dst_port"`
	InInterface        string   `json:"in_interface"`
	OutInterface       string   `json:"out_interface"`
	InInterfaceList    string   `json:"in_interface_list"`
	OutInterfaceList   string   `json:"out_interface_list"`
	SrcAddressList     string   `json:"src_address_list"`
	DstAddressList     string   `json:"dst_address_list"`
	AddressList        string   `json:"address_list"` // what add-src-to-address-list adds to
	AddressListTimeout Span     `json:"address_list_timeout"`
	ConnectionState    []string `json:"connection_state"`
	JumpTarget         string   `json:"jump_target"`
	RejectWith         string   `json:"reject_with"`
	Log                bool     `json:"log"`
	LogPrefix          string   `json:"log_prefix"`
	Disabled           bool     `json:"disabled"`
}

// RuleActions are what a rule can do.
func RuleActions() []string {
	return []string{"accept", "add-dst-to-address-list", "add-src-to-address-list", "drop", "fasttrack-connection", "jump", "log", "passthrough", "reject", "return", "tarpit"}
}

// withPorts are the protocols that have ports, by name and number.
var withPorts = []string{"tcp", "udp", "udp-lite", "sctp", "dccp", "6", "17", "33", "132", "136"}

var (
	chainForm    = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	ruleNameForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	protocolForm = regexp.MustCompile(`^!?[a-z0-9-]{1,16}$`)
	ruleForm     = regexp.MustCompile(`^` + ruleMark + `([A-Za-z0-9._-]{1,64})$`)
)

// Kind is KindFirewall.
func (r Rule) Kind() Kind { return KindFirewall }

// Identity is the name in its comment.
func (r Rule) Identity() (name, scope string) { return r.Name, "" }

// Row has the fields of /ip/firewall/filter. What does not go together is an
// error here, since a router takes some of it and does nothing.
func (r Rule) Row() (Row, error) {
	e := newEncoder()
	if !ruleNameForm.MatchString(r.Name) {
		e.wrong("name", r.Name, "letters, digits, dots and dashes")
	}
	if !chainForm.MatchString(r.Chain) {
		e.wrong("chain", r.Chain, "input, forward, output, or a chain of the router")
	}
	e.row["chain"] = r.Chain
	e.oneOf("action", r.Action, "", RuleActions()...)
	if r.Protocol != "" && !protocolForm.MatchString(r.Protocol) {
		e.wrong("protocol", r.Protocol, "a protocol, as in tcp, udp, icmp or 47")
	}
	e.row["protocol"] = r.Protocol
	for field, v := range map[string]string{"src-address": r.SrcAddress, "dst-address": r.DstAddress} {
		if _, ok := span(strings.TrimPrefix(v, "!")); v != "" && !ok {
			e.wrong(field, v, "an address, a network or a range, as in 10.0.0.0/8, with ! before it for all others")
		}
		e.row[field] = v
	}
	for field, v := range map[string]string{"src-port": r.SrcPort, "dst-port": r.DstPort} {
		switch {
		case v != "" && !isPorts(v):
			e.wrong(field, v, "ports, as in 53 or 80,443 or 1000-2000")
		case v != "" && !slices.Contains(withPorts, r.Protocol):
			e.wrong(field, v, "a protocol with ports beside it: --protocol tcp or udp")
		}
		e.row[field] = v
	}
	for field, v := range map[string]string{
		"in-interface": r.InInterface, "out-interface": r.OutInterface, "in-interface-list": r.InInterfaceList, "out-interface-list": r.OutInterfaceList,
		"src-address-list": r.SrcAddressList, "dst-address-list": r.DstAddressList, "log-prefix": r.LogPrefix,
	} {
		e.text(field, v)
	}
	r.together(e)
	e.flag("log", r.Log)
	e.flag("disabled", r.Disabled)
	return e.done("firewall rule " + r.Name)
}

// together judges what an action needs and what it has no use for.
func (r Rule) together(e *encoder) {
	pair := func(field, v string, fits bool, want string) {
		if fits != (v != "") {
			e.wrong(field, v, want)
		}
		e.text(field, v)
	}
	adds := strings.HasPrefix(r.Action, "add-")
	pair("address-list", r.AddressList, adds, "a list with the actions add-src-to-address-list and add-dst-to-address-list, and with them alone")
	pair("jump-target", r.JumpTarget, r.Action == "jump", "a chain with the action jump, and with it alone")
	if r.RejectWith != "" && r.Action != "reject" {
		e.wrong("reject-with", r.RejectWith, "the action reject beside it")
	}
	e.text("reject-with", r.RejectWith)
	if r.AddressListTimeout != 0 && !adds {
		e.wrong("address-list-timeout", r.AddressListTimeout.String(), "an action that adds to a list beside it")
	}
	e.duration("address-list-timeout", r.AddressListTimeout)
	for _, s := range r.ConnectionState {
		if !slices.Contains([]string{"established", "invalid", "new", "related", "untracked"}, strings.TrimPrefix(s, "!")) {
			e.wrong("connection-state", s, "established, invalid, new, related or untracked")
		}
	}
	e.row["connection-state"] = strings.Join(r.ConnectionState, ",")
}

func isPorts(s string) bool {
	for part := range strings.SplitSeq(strings.TrimPrefix(s, "!"), ",") {
		low, high, ranged := strings.Cut(part, "-")
		a, err := strconv.ParseUint(low, 10, 16)
		if err != nil {
			return false
		}
		if b, err := strconv.ParseUint(high, 10, 16); ranged && (err != nil || b < a) {
			return false
		}
	}
	return true
}

// ruleName reads a rule's name and note out of its comment; "" and the whole
// comment where it is not ours.
func ruleName(r Row) (name, note string) {
	words := strings.SplitN(r["comment"], " ", 3)
	if len(words) < 2 || words[0] != Tag {
		return "", r["comment"]
	}
	m := ruleForm.FindStringSubmatch(words[1])
	if m == nil {
		return "", r["comment"]
	}
	if len(words) == 3 {
		note = words[2]
	}
	return m[1], note
}

// RuleOf reads a rule.
func RuleOf(i Item) (Rule, error) {
	if err := wrongKind(i, KindFirewall); err != nil {
		return Rule{}, err
	}
	d := decoder{row: i.Fields}
	r := Rule{
		Name: i.Name, Chain: d.text("chain"), Action: d.text("action"), Protocol: d.text("protocol"), SrcAddress: d.text("src-address"),
		DstAddress: d.text("dst-address"), SrcPort: d.text("src-port"), DstPort: d.text("dst-port"), InInterface: d.text("in-interface"),
		OutInterface: d.text("out-interface"), InInterfaceList: d.text("in-interface-list"), OutInterfaceList: d.text("out-interface-list"),
		SrcAddressList: d.text("src-address-list"), DstAddressList: d.text("dst-address-list"), AddressList: d.text("address-list"),
		AddressListTimeout: d.duration("address-list-timeout"), ConnectionState: d.words("connection-state"), JumpTarget: d.text("jump-target"),
		RejectWith: d.text("reject-with"), Log: d.flag("log"), LogPrefix: d.text("log-prefix"), Disabled: d.flag("disabled"),
	}
	return r, d.done("firewall rule " + i.Name)
}

// placeBefore is the .id before which a rule shall stand: "first" is before all
// that the router has not made by itself, a name one of our rules. "" is the
// end.
func placeBefore(ctx context.Context, c *Conn, before, self string) (string, error) {
	reply, err := c.Run(ctx, "/ip/firewall/filter/print")
	if err != nil {
		return "", err
	}
	for _, r := range reply.Rows {
		name, _ := ruleName(r)
		switch {
		case r["dynamic"] == "true" || r[".id"] == self:
		case before == "first", before == r[".id"], before == name && name != "":
			return r[".id"], nil
		}
	}
	if before == "first" {
		return "", nil
	}
	return "", fmt.Errorf("before %q: want first, an .id or the name of a rule of ours: %w", before, ErrNoItem)
}

// moveBefore moves a rule that does not stand right before the one named.
func moveBefore(ctx context.Context, c *Conn, done Change, how How) (Change, error) {
	target, err := placeBefore(ctx, c, how.Before, done.ID)
	if err != nil || target == "" {
		return done, err
	}
	reply, err := c.Run(ctx, "/ip/firewall/filter/print", "=.proplist=.id")
	if err != nil {
		return Change{}, err
	}
	at := func(id string) int { return slices.IndexFunc(reply.Rows, func(r Row) bool { return r[".id"] == id }) }
	if at(done.ID) < at(target) {
		return done, nil
	}
	done.Action, done.After["place-before"] = Changed, target
	if how.DryRun {
		return done, nil
	}
	_, err = c.Run(ctx, "/ip/firewall/filter/move", "=numbers="+done.ID, "=destination="+target)
	return done, err
}
