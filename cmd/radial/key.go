package main

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"radial/aaa"
	"radial/nas"
	"radial/store"
)

// secretKey is the key of 32 bytes under which this host keeps secrets, for one
// use: derived from RADIAL_SECRET_KEY, else from a file named key in data_dir,
// which is made where it is not there.
func secretKey(dir, use string) ([]byte, error) {
	secret := os.Getenv("RADIAL_SECRET_KEY")
	if secret == "" {
		var err error
		if secret, err = madeOnce(filepath.Join(dir, "key"), 0o600, newKey); err != nil {
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

func newKey() string {
	random := make([]byte, 32)
	rand.Read(random)
	return hex.EncodeToString(random)
}

// settingKeyFingerprint names the key under which the secrets in the database
// are sealed; all servers have the same.
const settingKeyFingerprint = "key_fingerprint"

// sealer opens and seals secrets in the database. The first host that seals
// decides for which key; another host with another key is told.
func (a *app) sealer(ctx context.Context, db *store.DB) (*nas.Sealer, error) {
	c, err := a.config()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.DataDir, 0o755); err != nil {
		return nil, withoutAccess(c, fmt.Errorf("data_dir %s: %w", c.DataDir, err))
	}
	s, fingerprint, err := newSealer(c.DataDir)
	if err != nil {
		return nil, withoutAccess(c, err)
	}
	stored, err := db.SettingOnce(ctx, settingKeyFingerprint, fingerprint)
	if err != nil {
		return nil, err
	}
	return s, sameKey(stored, fingerprint)
}

// checkKey compares a server's key with the database's; one that has no secrets
// yet takes any.
func checkKey(ctx context.Context, db *store.DB, fingerprint string) error {
	stored, err := db.Setting(ctx, settingKeyFingerprint)
	if errors.Is(err, aaa.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return sameKey(stored, fingerprint)
}

func sameKey(stored, own string) error {
	if stored == own {
		return nil
	}
	return fmt.Errorf("key: the secrets in the database are kept under key %s, this host has %s: copy the file key out of data_dir of the host that has the right one, or set RADIAL_SECRET_KEY to the same on all", stored, own)
}

// newSealer makes a sealer of this host's key, and the key's fingerprint, which
// says nothing of the key.
func newSealer(dir string) (*nas.Sealer, string, error) {
	mark, err := secretKey(dir, "fingerprint")
	if err != nil {
		return nil, "", err
	}
	key, err := secretKey(dir, "secrets in the database")
	if err != nil {
		return nil, "", err
	}
	s, err := nas.NewSealer(key)
	return s, hex.EncodeToString(mark[:8]), err
}
