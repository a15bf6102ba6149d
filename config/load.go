package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/viper"
)

// Source says where the values come from; later ones win: the defaults, File,
// Env, Flags.
type Source struct {
	// File is the path of a YAML file that must exist. Empty: the first of
	// SearchPath that exists, or none.
	File string
	// Env is the environment as os.Environ gives it. Every variable that begins
	// with RADIAL_ must be a key (RADIAL_RADIUS_AUTH_LISTEN is
	// radius.auth_listen).
	Env []string
	// Flags are keys given on the command line, with their values as text.
	Flags map[string]string
}

// SearchPath is where a file is looked for when none is named.
var SearchPath = []string{"./radial.yaml", "/etc/radial/radial.yaml"}

// envOnly are variables with our prefix that are no settings.
var envOnly = []string{"RADIAL_SECRET_KEY", "RADIAL_CONFIG"}

// Problem is one thing that is wrong in the configuration.
type Problem struct {
	Key    string // as in the file; the variable's name where there is no key
	Value  string // as given; *** for secrets
	Origin string // file name, environment or flag
	Want   string // what would be right
}

func (p Problem) Error() string {
	s := p.Key
	if p.Value != "" {
		s += fmt.Sprintf(" = %q", p.Value)
	}
	if p.Origin != "" {
		s += " (" + p.Origin + ")"
	}
	return s + ": " + p.Want
}

// Load returns the configuration, or an error that joins every Problem found.
func Load(src Source) (*Config, error) {
	c := Default()
	file, err := readFile(&src)
	if err != nil {
		return nil, err
	}
	known := map[string]setting{}
	for _, s := range settings(c) {
		known[s.key] = s
	}
	problems := fromFile(file, src.File, known)
	problems = append(problems, fromEnv(src.Env, known)...)
	for _, key := range slices.Sorted(maps.Keys(src.Flags)) {
		s, ok := known[key]
		if !ok {
			problems = append(problems, Problem{Key: key, Origin: "flag", Want: unknownKey(key, known)})
		} else if err := s.set([]string{src.Flags[key]}); err != nil {
			problems = append(problems, s.problem(src.Flags[key], "flag", err))
		}
	}
	if len(problems) == 0 {
		problems = append(problems, validate(c)...)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	c.File = src.File
	return c, nil
}

func readFile(src *Source) (*viper.Viper, error) {
	v := viper.New()
	v.SetConfigType("yaml")
	if src.File == "" {
		i := slices.IndexFunc(SearchPath, func(p string) bool {
			_, err := os.Stat(p)
			return !errors.Is(err, fs.ErrNotExist)
		})
		if i < 0 {
			return v, nil
		}
		src.File = SearchPath[i]
	}
	f, err := os.Open(src.File)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	defer f.Close()
	if err := v.ReadConfig(f); err != nil {
		return nil, fmt.Errorf("configuration %s: not YAML that can be read (blanks indent, never tabs): %w", src.File, err)
	}
	return v, nil
}

func fromFile(v *viper.Viper, name string, known map[string]setting) []error {
	var problems []error
	for _, key := range slices.Sorted(slices.Values(v.AllKeys())) {
		s, ok := known[key]
		if !ok {
			problems = append(problems, Problem{Key: key, Origin: name, Want: unknownKey(key, known)})
			continue
		}
		var words []string
		switch value := v.Get(key).(type) {
		case nil:
			continue // "key:" with nothing behind it keeps the default
		case []any:
			for _, w := range value {
				words = append(words, fmt.Sprint(w))
			}
		default:
			words = []string{fmt.Sprint(value)}
		}
		if err := s.set(words); err != nil {
			problems = append(problems, s.problem(strings.Join(words, ", "), name, err))
		}
	}
	return problems
}

func fromEnv(env []string, known map[string]setting) []error {
	byVar := map[string]setting{}
	for _, s := range known {
		byVar[EnvName(s.key)] = s
	}
	var problems []error
	for _, kv := range slices.Sorted(slices.Values(env)) {
		name, value, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, "RADIAL_") || slices.Contains(envOnly, name) {
			continue
		}
		s, ok := byVar[name]
		if !ok {
			problems = append(problems, Problem{Key: name, Origin: "environment", Want: "no such setting; `radial check-config --keys` lists them"})
			continue
		}
		if err := s.set([]string{value}); err != nil {
			problems = append(problems, s.problem(value, "environment, "+name, err))
		}
	}
	return problems
}

// EnvName is the variable that sets a key: RADIAL_ and the key in capitals,
// dots and dashes as _.
func EnvName(key string) string {
	return "RADIAL_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
}

// unknownKey proposes the known key that is nearest.
func unknownKey(key string, known map[string]setting) string {
	best, distance := "", 4
	for k := range known {
		if d := editDistance(key, k); d < distance || d == distance && k < best {
			best, distance = k, d
		}
	}
	if best == "" {
		return "no such setting; `radial check-config --keys` lists them"
	}
	return "no such setting; did you mean " + best + "?"
}

// editDistance is Levenshtein's.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
