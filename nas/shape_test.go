package nas

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"radial/dictionaries"
)

// Whatever the rows say and whatever the device: the merged reply is left alone,
// what is shaped is shaped, a profile that has a rate of its own sends no other
// vendor's words, and what a CoA carries is a part of what a login gets.
func TestShapeReplyProperties(t *testing.T) {
	d := loadDictionary(t)
	line := rapid.SampledFrom([]string{
		"Mikrotik-Rate-Limit = 2M/10M", "Mikrotik-Rate-Limit = 0/10M", "Mikrotik-Rate-Limit = nonsense", "Mikrotik-Rate-Limit = 999G/1",
		"WISPr-Bandwidth-Max-Up = 1000", "WISPr-Bandwidth-Min-Down = 1000", "Huawei-Input-Average-Rate = 5", "Huawei-Remanent-Volume = 5",
		"Cisco-Account-Info = QU;1;2;D;3;4", "Cisco-Account-Info = AInternet", "Cisco-AVPair = a=b", "Alc-Subscriber-QoS-Override = e:r:rate=max",
		"ERX-CoS-Shaping-Pmt-Type = T02 5m", "ERX-CoS-Shaping-Pmt-Type = T02 ", "ERX-CoS-Shaping-Pmt-Type = T01 x", "ERX-Primary-Dns = 9.9.9.9",
		"Filter-Id = gold", "Filter-Id = 5/6", "Filter-Id = 101", "Filter-Id = /", "Mikrotik-Total-Limit = 5", "Mikrotik-Total-Limit-Gigawords = 7", "Mikrotik-Recv-Limit = 9",
		"Framed-Pool = p", "Framed-IP-Address = 10.0.0.1", "MS-Primary-DNS-Server = 9.9.9.9", "MS-Secondary-DNS-Server = 9.9.9.8", "MS-CHAP2-Success = 0x00",
		"DNS-Server-IPv6-Address = 2001:db8::1", "DNS-Server-IPv6-Address = 2001:db8::2", "Delegated-IPv6-Prefix-Pool = pd", "Mikrotik-Delegated-IPv6-Pool = pd2",
		"Session-Timeout = 5", "Idle-Timeout = 5", "Mikrotik-Address-List = a", "Class = x",
	})
	types := append(Types(), "cisco+mikrotik", "juniper+cisco+wrong", "no such type", "")
	rapid.Check(t, func(t *rapid.T) {
		dev := deviceOf(rapid.SampledFrom(types).Draw(t, "type"))
		var reply dictionaries.Pairs
		for _, l := range rapid.SliceOfN(line, 0, 12).Draw(t, "reply") {
			reply = append(reply, mustPair(t, d, l))
		}
		before := show(reply)
		shaped := ShapeReply(dev, reply, d)
		once := show(shaped)
		if show(reply) != before {
			t.Fatalf("the merged reply was changed:\n%snow\n%s", before, show(reply))
		}
		if again := show(ShapeReply(dev, shaped, d)); again != once {
			t.Fatalf("shaped again it is\n%snot\n%s", again, once)
		}
		v := vendorOf(dev)
		_, also := baseType(dev.Type)
		for _, p := range shaped {
			if v.rates != nil && !v.understands(p.Attr) && !theirs(also, p.Attr) {
				t.Fatalf("%s is sent to a device of type %s", p.Attr.Name, dev.Type)
			}
		}
		soft, hard := Split(dev, shaped)
		for _, p := range slices.Concat(soft, hard) {
			if !shaped.Has(p.Attr) {
				t.Fatalf("a CoA has %s, the login has not", p.Attr.Name)
			}
		}
		if len(soft) > 0 && !ChangeableBy(dev).CoA {
			t.Fatalf("%s takes no CoA, and is sent\n%s", dev.Type, show(soft))
		}
	})
}
