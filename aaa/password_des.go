package aaa

import "errors"

// checkDESCrypt is the traditional crypt(3): two characters of salt and eleven
// of a block that DES, perturbed by the salt, encrypted 25 times under the
// first eight characters of the password, seven bits each.
func checkDESCrypt(stored, typed []byte) (bool, error) {
	if len(stored) != 13 {
		return false, errors.New("value is not a crypt(3) hash: DES has 13 characters, all others begin with $")
	}
	for _, c := range stored {
		if cryptDigit(c) < 0 {
			return false, errors.New("value is not a crypt(3) hash: DES has letters, digits, dots and slashes only")
		}
	}
	return equal(desCrypt(typed, stored[:2]), stored), nil
}

const cryptAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func cryptDigit(c byte) int {
	for i := range len(cryptAlphabet) {
		if cryptAlphabet[i] == c {
			return i
		}
	}
	return -1
}

// desCrypt computes the 13 characters. crypto/des cannot: the salt swaps
// outputs of the expansion (12 bits, bit i swaps outputs i and i+24).
func desCrypt(password, salt []byte) []byte {
	swap := cryptDigit(salt[0]) | cryptDigit(salt[1])<<6
	expansion := desExpansion
	for i := range 12 {
		if swap>>i&1 != 0 {
			expansion[i], expansion[i+24] = expansion[i+24], expansion[i]
		}
	}
	keys := desKeySchedule(password)
	var block [64]byte // one bit a byte
	for range 25 {
		block = desBlock(block, &keys, &expansion)
	}
	out := append(make([]byte, 0, 13), salt...)
	for i := range 11 {
		v := 0
		for bit := range 6 {
			v <<= 1
			if n := 6*i + bit; n < 64 {
				v |= int(block[n])
			}
		}
		out = append(out, cryptAlphabet[v])
	}
	return out
}

// desKeySchedule makes the sixteen 48-bit round keys (FIPS 46-3, KS).
func desKeySchedule(password []byte) (keys [16][48]byte) {
	var key [64]byte
	for i, c := range password[:min(len(password), 8)] {
		for bit := range 7 {
			key[8*i+bit] = c >> (6 - bit) & 1
		}
	}
	var cd [56]byte
	for i, from := range desPC1 {
		cd[i] = key[from-1]
	}
	for round := range keys {
		for range desShifts[round] {
			c0, d0 := cd[0], cd[28]
			copy(cd[:27], cd[1:28])
			copy(cd[28:55], cd[29:])
			cd[27], cd[55] = c0, d0
		}
		for i, from := range desPC2 {
			keys[round][i] = cd[from-1]
		}
	}
	return keys
}

// desBlock encrypts one block: sixteen rounds between the two permutations.
func desBlock(in [64]byte, keys *[16][48]byte, expansion *[48]uint8) (out [64]byte) {
	var l, r [32]byte
	for i := range 32 {
		l[i], r[i] = in[desIP[i]-1], in[desIP[i+32]-1]
	}
	for round := range keys {
		var s [32]byte
		for box := range desSBoxes {
			v := 0
			for bit := range 6 {
				n := 6*box + bit
				v = v<<1 | int(r[expansion[n]-1]^keys[round][n])
			}
			row, column := v>>4&2|v&1, v>>1&15
			x := desSBoxes[box][16*row+column]
			for bit := range 4 {
				s[4*box+bit] = x >> (3 - bit) & 1
			}
		}
		next := l
		for i, from := range desP {
			next[i] ^= s[from-1]
		}
		l, r = r, next
	}
	// the halves leave swapped
	for i, to := range desIP {
		if i < 32 {
			out[to-1] = r[i]
		} else {
			out[to-1] = l[i-32]
		}
	}
	return out
}
