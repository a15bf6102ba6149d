package routeros

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// maxWord bounds a word: no command of a management client comes near, and a
// length that a stranger made up costs no memory.
const maxWord = 1 << 20

var errControlByte = errors.New("control byte instead of a word's length")

// readWord reads a word: its length in one to five bytes, then so many bytes
// (MikroTik, "API", section API words).
func readWord(r *bufio.Reader) (string, error) {
	n, err := readLength(r)
	if err != nil {
		return "", err
	}
	if n > maxWord {
		return "", fmt.Errorf("word of %d bytes: at most %d are taken", n, maxWord)
	}
	word := make([]byte, n)
	if _, err := io.ReadFull(r, word); err != nil {
		return "", noEOF(err)
	}
	return string(word), nil
}

func readLength(r *bufio.Reader) (uint32, error) {
	first, err := r.ReadByte()
	if err != nil {
		return 0, err
	}
	more, n := 0, uint32(first)
	switch {
	case first < 0x80:
	case first < 0xC0:
		more, n = 1, n&0x3F
	case first < 0xE0:
		more, n = 2, n&0x1F
	case first < 0xF0:
		more, n = 3, n&0x0F
	case first == 0xF0:
		more, n = 4, 0
	default:
		return 0, errControlByte
	}
	for range more {
		b, err := r.ReadByte()
		if err != nil {
			return 0, noEOF(err)
		}
		n = n<<8 | uint32(b)
	}
	return n, nil
}

// noEOF makes an end in the middle of a word what it is.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// readSentence reads words up to the empty one. Sentences without words are
// passed over, as RouterOS does.
func readSentence(r *bufio.Reader) ([]string, error) {
	var words []string
	for {
		word, err := readWord(r)
		if err != nil {
			if len(words) > 0 {
				err = noEOF(err)
			}
			return nil, err
		}
		switch {
		case word != "":
			words = append(words, word)
		case len(words) > 0:
			return words, nil
		}
	}
}

// appendWord appends a word in its shortest form.
func appendWord(b []byte, word string) []byte {
	switch n := uint32(len(word)); {
	case n < 0x80:
		b = append(b, byte(n))
	case n < 0x4000:
		b = append(b, byte(n>>8)|0x80, byte(n))
	case n < 0x200000:
		b = append(b, byte(n>>16)|0xC0, byte(n>>8), byte(n))
	case n < 0x10000000:
		b = append(b, byte(n>>24)|0xE0, byte(n>>16), byte(n>>8), byte(n))
	default:
		b = append(b, 0xF0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(b, word...)
}

// appendSentence appends words and the empty one that ends them.
func appendSentence(b []byte, words ...string) []byte {
	for _, w := range words {
		b = appendWord(b, w)
	}
	return append(b, 0)
}
