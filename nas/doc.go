// Package nas knows the devices that speak RADIUS to us.
//
// A Row is a row of FreeRADIUS's nas table with Radial's settings for it; its
// name is an address, a CIDR or a host name. Directory turns the rows into a
// Table, an immutable snapshot that finds the Device of a packet's source by
// the longest prefix, without a lock and without allocating. When rows change,
// or a host name resolves to something else, a new Table takes the old one's
// place; what a device has taught us (Learnt) goes along.
//
// A device has a type, its vendor profile. What a subscriber is granted is
// written once in the merged reply list, mostly as Mikrotik-Rate-Limit;
// ShapeReply turns it into what the device's vendor understands (profile.go
// lists the vendors). RateLimit is MikroTik's rate grammar.
//
// Nothing here logs, does SQL or opens a socket, but for the look-up of host
// names; the API of routers is spoken by nas/routeros. Imports: dictionaries and ipam only.
package nas
