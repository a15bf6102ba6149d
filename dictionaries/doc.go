// Package dictionaries knows the names, numbers and types of RADIUS attributes
// and turns values from text to bytes and back.
//
// # Definitions
//
// Load returns a Dictionary: our own files (*.dict for the RFCs and for
// FreeRADIUS's internal attributes, vendor/*.dict) and, on top, an operator's
// files in FreeRADIUS's format (dictionary(5)). Names, numbers, types and value
// names are FreeRADIUS's, since radcheck, radreply and radacct hold them. An
// Attribute is a definition; there is one pointer for each, so attributes are
// compared by pointer. Find and Ref look names up, case does not matter.
//
// # Values
//
// A Pair is an attribute with a value in canonical form (see Pair). Parse reads
// the text of a policy row, Text prints what FreeRADIUS would store in SQL, and
// Pair.String what radclient prints. Parse reads back what Text printed.
// Ascend's binary filters (abinary) are read and printed as octets.
//
// # The wire
//
// Decode reads the attributes of a packet, Append writes them. A packet from
// the network is never dropped for what is inside an attribute: only a
// top-level attribute whose length is below 2 or beyond the packet is an error
// of Decode. These become a raw attribute instead, of type octets, named by
// number as in FreeRADIUS (Attr-6, Attr-26.14988.8, Attr-241.5):
//
//   - a number, vendor or member that no definition has;
//   - a value that its type cannot hold: an integer of three octets, an octets[16]
//     of fifteen, a prefix longer than its address;
//   - a hidden value that cannot be shown: no keys, a length that is no multiple
//     of 16, a Tunnel-Password whose inner length is too large (a wrong secret);
//   - a TLV whose lengths do not add up (the whole TLV);
//   - a Vendor-Specific whose lengths do not add up by the vendor's format, or
//     too short to hold anything (Attr-26, with the vendor id in the value);
//   - an extended attribute without room for its header, and pieces of a long
//     one whose end never comes (Attr-241 … Attr-246).
//
// Empty attributes are passed over, as in FreeRADIUS, but for
// Chargeable-User-Identity (RFC 4372 §2.2) and hidden values that turn out
// empty. Pieces of EAP-Message and of other split attributes that follow one
// another become one value. A raw attribute is sent as the octets it holds.
//
// The files: attribute.go and dictionary.go are the nouns; load.go and file*.go
// read definitions; text.go, parse.go and date.go are text; decode*.go,
// encode*.go and hide.go are the wire.
package dictionaries
