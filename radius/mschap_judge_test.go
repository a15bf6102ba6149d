package radius

import (
	"bytes"
	"testing"

	"layeh.com/radius/rfc2759"
	"layeh.com/radius/rfc3079"
	"pgregory.net/rapid"

	"radial/aaa"
)

// layeh's MS-CHAP and MPPE were written by others: they judge ours for any
// challenge, name and password.
func TestMSCHAPJudgedByLayeh(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bytesOf := func(n int, name string) []byte { return rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, name) }
		server, peer := bytesOf(16, "server"), bytesOf(16, "peer")
		user := rapid.StringN(0, 30, 60).Draw(t, "user")
		password := rapid.StringN(1, 20, 100).Draw(t, "password")

		hash, err := aaa.NTHash([]byte(password))
		if err != nil {
			t.Fatal(err)
		}
		response := aaa.MSCHAPv2Response([16]byte(server), [16]byte(peer), user, hash)
		want, err := rfc2759.GenerateNTResponse(server, peer, []byte(user), []byte(password))
		if err != nil {
			t.Skip(err)
		}
		if !bytes.Equal(response[:], want) {
			t.Fatalf("NT-Response %x, want %x", response, want)
		}
		hashHash := aaa.NTHashHash(hash)
		proof, err := rfc2759.GenerateAuthenticatorResponse(server, peer, want, []byte(user), []byte(password))
		if err != nil {
			t.Fatal(err)
		}
		if got := aaa.MSCHAPv2Success([16]byte(server), [16]byte(peer), user, hashHash, response); got != proof {
			t.Fatalf("proof %s, want %s", got, proof)
		}
		send, recv := aaa.MPPEKeys(hashHash, response)
		for _, k := range []struct {
			got    [16]byte
			isSend bool
		}{{send, true}, {recv, false}} {
			want, err := rfc3079.MakeKey(want, []byte(password), k.isSend)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(k.got[:], want[:16]) {
				t.Fatalf("key (send %v) %x, want %x", k.isSend, k.got, want)
			}
		}
	})
}
