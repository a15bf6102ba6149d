// Package routeros speaks RouterOS's API (MikroTik manual, "API") to routers of versions 6 and 7.
//
// Dial makes a connection: TCP or TLS, the certificate judged by TLSPolicy, login in either form. Conn.Run sends a command and returns its
// rows; each has its time. What the router refuses is a *Trap, which tells missing items, duplicates and lacking rights apart by category and
// loose text, since the texts change with the version. All else that fails is trouble with the connection, which is closed then: what became of
// the command is not known.
//
// Pool keeps a few connections to one router. Read asks again on a new connection where one has broken; Write does not, unless nothing was
// sent: a command that may have been done is not done twice.
//
// value.go has RouterOS's texts for durations, rates, booleans and pairs. Ensure makes items what they should be: it compares by the
// router's own forms, changes what differs, and never touches an item that does not carry our tag in its comment.
//
// What Radial keeps on routers is typed: Secret, Profile, IPPool, Queue, HotspotUser, Rule. Put makes one what it should be and Take takes it away,
// by identity and .id; List reads what is there. Sessions, End and SetRate are about who is logged in (active.go), VPNServers and Interfaces about the
// router itself.
//
// go-routeros has the framing and the login; it knows no deadlines and no retries, and logs to the standard output, so it is kept inside here.
package routeros
