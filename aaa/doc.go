// Package aaa is the engine: it decides. It knows attributes, rows, time and
// its ports (engine.go), and neither sockets nor SQL.
//
// An Access-Request becomes a Decision in authorize.go, by a list of stages in
// the order of FreeRADIUS's stock site: the name, the policy, Expiration,
// Login-Time, limits, the password, Simultaneous-Use, the address. Each stage
// passes or denies with one of a closed list of reasons (decision.go). An error
// is neither: it is trouble, and the NAS gets silence.
//
// The policy is FreeRADIUS's tables, read by its algorithm (policy.go). A row is
// compiled once into a rule (rule.go, quote.go for its text, expand.go for
// back-quotes), compared with the request in the check phase (compare.go,
// virtual.go) and merged into the control and reply lists (merge.go). All of
// that was held against FreeRADIUS 3.2.1, oddities included, because rows that
// work there must work here: test/scenarios tells the cases. Four things are
// on purpose not as there. Regular expressions are Go's: no back-references and
// no look-around (such a row cannot be read). A check or limit that this engine
// cannot evaluate refuses the login, with the name of the item. The value of =*
// and !* is ignored even where it is none of the attribute's type. And
// Client-IP-Address and the Packet-* items mean what their operator says: 3.2.1
// takes != < and > on them the wrong way round, and any >= for true.
//
// The policy cache (cache.go) keeps compiled users and groups and follows the
// tables; its promise stands at the type. Credentials are checked by the
// methods of method.go. Explain (explain.go) walks the same code as Authorize
// with a trace, and does nothing to the world.
//
// Sessions that run follow the rows: what a login grants travels as a mark in its
// Class (mark.go), what it would be granted now is told by the same stages, with
// check items compared to what accounting told (due.go, doubt.go), and decide.go
// says what follows from both.
//
// Accounting turns an Accounting-Request into a Record (account.go), and the
// state machine of a session (session.go) says what a record does to a row.
// Provisioning is pure as well: what an operator says of a subscriber, a package
// or a device (provision_*.go) becomes rows (projection.go), which are compared
// with those that stand there under the rules of who owns a row
// (provision_reconcile.go), and which store writes as one change.
package aaa
