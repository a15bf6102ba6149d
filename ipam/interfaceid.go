package ipam

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// InterfaceID returns the Framed-Interface-Id of a caller (RFC 3162 section
// 2.2), or 0 for none: by EUI-64 of its MAC (RFC 4291 appendix A), where it has
// one; or a hash of its name and MAC, stable in the sense of RFC 7217 (the same
// each time, from which the device cannot be told). It is never one that RFC
// 5453 reserves: where the MAC would make one, the hash stands in.
func InterfaceID(policy InterfaceIDPolicy, c Caller) uint64 {
	switch policy {
	case InterfaceIDEUI64:
		id, ok := eui64(c.MAC)
		if !ok {
			return 0
		}
		if !reservedInterfaceID(id) {
			return id
		}
	case InterfaceIDStable:
	default:
		return 0
	}
	for round := byte(0); ; round++ {
		h := sha256.New()
		h.Write(binary.BigEndian.AppendUint64([]byte{round}, uint64(len(c.User)))) // a hash takes everything
		h.Write([]byte(c.User + c.MAC))
		if id := binary.BigEndian.Uint64(h.Sum(nil)); !reservedInterfaceID(id) {
			return id
		}
	}
}

// eui64 is the modified EUI-64 of a normalised MAC; ok is false for other texts.
func eui64(mac string) (id uint64, ok bool) {
	if len(mac) != 17 {
		return 0, false
	}
	b, err := hex.DecodeString(strings.ReplaceAll(mac, ":", ""))
	if err != nil || len(b) != 6 {
		return 0, false
	}
	return binary.BigEndian.Uint64([]byte{b[0] ^ 2, b[1], b[2], 0xff, 0xfe, b[3], b[4], b[5]}), true
}

// reservedInterfaceID tells the ids of RFC 5453 section 3, and IANA's registry
// that it begins.
func reservedInterfaceID(id uint64) bool {
	return id == 0 || // the routers of a subnet (RFC 4291)
		id >= 0x0200_5eff_fe00_0000 && id <= 0x0200_5eff_feff_ffff || // IANA's Ethernet block (RFC 5342), Proxy Mobile IPv6 in it (RFC 6543)
		id >= 0xfdff_ffff_ffff_ff80 && id <= 0xfdff_ffff_ffff_ffff // anycast of a subnet (RFC 2526)
}
