package nas

// Secret is text that never shows in a log, an error, JSON or a table: shared
// secrets, passwords, keys. Convert with Reveal only where the bytes are used.
type Secret string

// String prints *** (or nothing for an empty secret).
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString keeps %#v quiet as well.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// MarshalText keeps JSON and YAML quiet.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }
