// Package interop asks programs that nobody here wrote to judge Radial: first
// of all FreeRADIUS 3.2, as a server that our client logs in at, as a proxy in
// front of our server (its MS-CHAPv2 and its secrets between), and as the other
// server on the same tables, whose rows ours are compared with.
//
// StartFreeRADIUS runs it privately: a copy of the system's configuration in a
// folder of the test, on loopback ports of its own, as the user freerad. It
// needs root and Debian's freeradius package (and freeradius-postgresql for
// SQL); without them a test skips and says so, and with INTEROP_ALL set it fails.
//
// Its listener of type coa stands for a device that takes CoA and Disconnect.
// Wired has a real one: hostapd, with wpa_supplicant at the other end of a wire.
package interop
