package nas

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// Known is what a server remembers of its database, to start while that is
// away: who may send to it, with which secrets, and where days begin and end.
type Known struct {
	Zone string // IANA name of the zone in which days are reckoned
	Rows []Row
}

// KnownFile keeps a Known in a file that its owner alone may read, encrypted
// (AES-256-GCM). Safe for concurrent use.
type KnownFile struct {
	path string
	aead cipher.AEAD

	mu   sync.Mutex
	last [sha256.Size]byte // digest of what the file holds, once that is known
}

// knownForm begins the file, and is authenticated with the rest.
const knownForm = "radial known 1\n"

// NewKnownFile names the file and its key of 32 bytes.
func NewKnownFile(path string, key []byte) (*KnownFile, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &KnownFile{path: path, aead: aead}, nil
}

// knownRow is a row with its secrets in clear, under the encryption.
type knownRow struct {
	Row
	Secret, Community string
}

// Save writes k, unless it is what the file holds. After a crash the file is the
// old one or the new one.
func (f *KnownFile) Save(k Known) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	rows := make([]knownRow, len(k.Rows))
	for i, r := range k.Rows {
		rows[i] = knownRow{Row: r, Secret: r.Secret.Reveal(), Community: r.Community.Reveal()}
	}
	plain, err := json.Marshal(struct {
		Zone string
		Rows []knownRow
	}{k.Zone, rows})
	if err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	digest := sha256.Sum256(plain)
	if digest == f.last {
		return nil
	}
	if err := replaceFile(f.path, f.aead.Seal([]byte(knownForm), nil, plain, []byte(knownForm))); err != nil {
		return fmt.Errorf("%s: %w", f.path, err)
	}
	f.last = digest
	return nil
}

// Load reads what was saved last. The error is fs.ErrNotExist where nothing has
// been.
func (f *KnownFile) Load() (Known, error) {
	b, err := os.ReadFile(f.path)
	if err != nil {
		return Known{}, err // names the file
	}
	if len(b) < len(knownForm) || string(b[:len(knownForm)]) != knownForm {
		return Known{}, fmt.Errorf("%s: written by another version of Radial, or by something else", f.path)
	}
	plain, err := f.aead.Open(nil, nil, b[len(knownForm):], []byte(knownForm))
	if err != nil {
		return Known{}, fmt.Errorf("%s: damaged, or written with another key: %w", f.path, err)
	}
	var read struct {
		Zone string
		Rows []knownRow
	}
	if err := json.Unmarshal(plain, &read); err != nil {
		return Known{}, fmt.Errorf("%s: %w", f.path, err)
	}
	k := Known{Zone: read.Zone}
	for _, r := range read.Rows {
		r.Row.Secret, r.Row.Community = Secret(r.Secret), Secret(r.Community)
		k.Rows = append(k.Rows, r.Row)
	}
	return k, nil
}

// replaceFile writes a file of mode 0600 in the place of another, durably.
func replaceFile(path string, b []byte) error {
	next := path + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
