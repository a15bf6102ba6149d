package nas_test

import (
	"bytes"
	"errors"
	"testing"

	"radial/nas"
)

func TestSealer(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	s, err := nas.NewSealer(key)
	if err != nil {
		t.Fatal(err)
	}
	sealed := s.Seal("router password", "geheim")
	if bytes.Contains(sealed, []byte("geheim")) || bytes.Equal(sealed, s.Seal("router password", "geheim")) {
		t.Error("a secret shows, or is sealed the same way twice")
	}
	if got, err := s.Open("router password", sealed); err != nil || got.Reveal() != "geheim" {
		t.Errorf("opened: %q, %v", got.Reveal(), err)
	}
	key[0]++
	other, err := nas.NewSealer(key)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(sealed)
	damaged[len(damaged)-1]++
	for name, open := range map[string]func() (nas.Secret, error){
		"another use": func() (nas.Secret, error) { return s.Open("secret", sealed) },
		"another key": func() (nas.Secret, error) { return other.Open("router password", sealed) },
		"damaged":     func() (nas.Secret, error) { return s.Open("router password", damaged) },
		"nothing":     func() (nas.Secret, error) { return s.Open("router password", nil) },
	} {
		if got, err := open(); !errors.Is(err, nas.ErrSeal) || got != "" {
			t.Errorf("%s: %q, %v", name, got.Reveal(), err)
		}
	}
	if _, err := nas.NewSealer(key[:5]); err == nil {
		t.Error("a key of 5 bytes was taken")
	}
}
