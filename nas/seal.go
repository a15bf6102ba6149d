package nas

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
)

// Sealer encrypts secrets that stand in the database (AES-256-GCM, a nonce of
// its own for each). Safe for concurrent use.
type Sealer struct{ aead cipher.AEAD }

// ErrSeal is a sealed secret that this key does not open.
var ErrSeal = errors.New("kept under another key than this host's (the file key in data_dir, or RADIAL_SECRET_KEY), or damaged")

// NewSealer makes a sealer of a key of 32 bytes.
func NewSealer(key []byte) (*Sealer, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("sealer: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("sealer: %w", err)
	}
	return &Sealer{aead}, nil
}

// Seal encrypts a secret for one use, such as "router password": sealed for
// another use it does not open.
func (s *Sealer) Seal(use string, secret Secret) []byte {
	return s.aead.Seal(nil, nil, []byte(secret), []byte(use))
}

// Open decrypts what Seal made for the same use; else it is ErrSeal.
func (s *Sealer) Open(use string, sealed []byte) (Secret, error) {
	plain, err := s.aead.Open(nil, nil, sealed, []byte(use))
	if err != nil {
		return "", fmt.Errorf("%s: %w", use, ErrSeal)
	}
	return Secret(plain), nil
}
