package main

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// secretKey is the key of 32 bytes under which this host keeps secrets, for one
// use: derived from RADIAL_SECRET_KEY, else from a file named key in data_dir,
// which is made where it is not there.
func secretKey(dir, use string) ([]byte, error) {
	secret := os.Getenv("RADIAL_SECRET_KEY")
	if secret == "" {
		var err error
		if secret, err = keyFile(filepath.Join(dir, "key")); err != nil {
			return nil, fmt.Errorf("key: %w", err)
		}
	}
	if len(secret) < 16 {
		return nil, errors.New("key: RADIAL_SECRET_KEY (or the file key in data_dir) is shorter than 16 characters: openssl rand -hex 32 makes one")
	}
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, "radial "+use, 32)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	return key, nil
}

func keyFile(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(b)), nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	random := make([]byte, 32)
	rand.Read(random)
	secret := hex.EncodeToString(random)
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(secret + "\n")
	return secret, errors.Join(err, f.Sync(), f.Close())
}
