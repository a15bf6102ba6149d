package config

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"radial/nas"
)

// setting binds a key to a field of a Config.
type setting struct {
	key    string
	doc    string
	want   string // what a right value looks like
	reload bool   // SIGHUP takes a new value over
	secret bool
	set    func(words []string) error // a list's words, or one text
	get    func() string              // for people: secrets are masked
	raw    func() string              // of a secret: the value itself, to see a change
}

func (s setting) problem(value, origin string, err error) Problem {
	if s.secret {
		value = nas.Secret(value).String()
	}
	return Problem{Key: s.key, Value: value, Origin: origin, Want: fmt.Sprintf("want %s (%v)", s.want, err)}
}

// one wraps a parser of a single text.
func one(parse func(string) error) func([]string) error {
	return func(words []string) error {
		if len(words) != 1 {
			return fmt.Errorf("one value, not a list of %d", len(words))
		}
		return parse(words[0])
	}
}

func text(key string, p *string, doc string) setting {
	return setting{key: key, doc: doc, want: "a text",
		set: one(func(s string) error { *p = s; return nil }), get: func() string { return *p }}
}

func secret(key string, p *nas.Secret, want, doc string) setting {
	return setting{key: key, doc: doc, want: want, secret: true,
		set: one(func(s string) error { *p = nas.Secret(s); return nil }), get: p.String, raw: p.Reveal}
}

func boolean(key string, p *bool, doc string) setting {
	return setting{key: key, doc: doc, want: "true or false",
		set: one(func(s string) error {
			switch strings.ToLower(s) {
			case "true", "on", "yes", "1":
				*p = true
			case "false", "off", "no", "0":
				*p = false
			default:
				return fmt.Errorf("not %q", s)
			}
			return nil
		}), get: func() string { return strconv.FormatBool(*p) }}
}

// integer is of any width; lo and hi are inclusive.
func integer[T ~int | ~int32 | ~int64](key string, p *T, lo, hi int64, unit, doc string) setting {
	return setting{key: key, doc: doc, want: strings.TrimSpace(fmt.Sprintf("a whole number from %d to %d %s", lo, hi, unit)),
		set: one(func(s string) error {
			v, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
			if err != nil || v < lo || v > hi {
				return fmt.Errorf("not %q", s)
			}
			*p = T(v)
			return nil
		}), get: func() string { return strconv.FormatInt(int64(*p), 10) }}
}

func duration(key string, p *time.Duration, lo, hi time.Duration, doc string) setting {
	return setting{key: key, doc: doc, want: fmt.Sprintf("a time from %v to %v with its unit, such as 500ms, 5s or 2m", lo, hi),
		set: one(func(s string) error {
			v, err := time.ParseDuration(strings.TrimSpace(s))
			if err != nil || v < lo || v > hi {
				return fmt.Errorf("not %q", s)
			}
			*p = v
			return nil
		}), get: func() string { return p.String() }}
}

// durationOrOff is 0 for off, else a duration.
func durationOrOff(key string, p *time.Duration, lo, hi time.Duration, doc string) setting {
	s := duration(key, p, 0, hi, doc)
	s.want = fmt.Sprintf("0, or a time from %v to %v", lo, hi)
	parse := s.set
	s.set = func(words []string) error {
		was := *p
		if err := parse(words); err != nil {
			return err
		}
		if v := *p; v != 0 && v < lo {
			*p = was
			return fmt.Errorf("not %q", strings.Join(words, ", "))
		}
		return nil
	}
	return s
}

// zone is the name of a time zone, or empty.
func zone(key string, p *string, doc string) setting {
	return setting{key: key, doc: doc, want: "an IANA name such as Europe/Prague, or nothing",
		set: one(func(s string) error {
			if _, err := time.LoadLocation(s); err != nil {
				return err
			}
			*p = s
			return nil
		}), get: func() string { return *p }}
}

// choice takes one of the given words.
func choice[T ~string](key string, p *T, words []T, doc string) setting {
	names := make([]string, len(words))
	for i, w := range words {
		names[i] = string(w)
	}
	return setting{key: key, doc: doc, want: "one of " + strings.Join(names, ", "),
		set: one(func(s string) error {
			if !slices.Contains(names, s) {
				return fmt.Errorf("not %q", s)
			}
			*p = T(s)
			return nil
		}), get: func() string { return string(*p) }}
}

// list takes a YAML list, or one text with commas between (the environment).
func list(key string, p *[]string, want, doc string, check func(string) error) setting {
	return setting{key: key, doc: doc, want: want,
		set: func(words []string) error {
			var out []string
			for _, w := range words {
				for part := range strings.SplitSeq(w, ",") {
					part = strings.TrimSpace(part)
					if part == "" {
						continue
					}
					if err := check(part); err != nil {
						return err
					}
					out = append(out, part)
				}
			}
			*p = out
			return nil
		}, get: func() string { return strings.Join(*p, ", ") }}
}

func addresses(key string, p *[]string, doc string) setting {
	return list(key, p, "host:port texts such as :1812, 10.0.0.1:1812 or [::1]:1812, several with commas between", doc, checkAddress)
}

func optionalAddress(key string, p *string, doc string) setting {
	return setting{key: key, doc: doc, want: "an IPv4 or IPv6 address, or nothing",
		set: one(func(s string) error {
			if s = strings.TrimSpace(s); s != "" {
				if _, err := netip.ParseAddr(s); err != nil {
					return fmt.Errorf("not %q", s)
				}
			}
			*p = s
			return nil
		}), get: func() string { return *p }}
}

func checkAddress(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q has no host:port form", s)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return fmt.Errorf("port %q of %q is no number from 0 to 65535", port, s)
	}
	if host != "" && net.ParseIP(host) == nil && !strings.Contains(host, "%") && host != "localhost" {
		return fmt.Errorf("host %q of %q is no address", host, s)
	}
	return nil
}

func isFolder(s string) error {
	if st, err := os.Stat(s); err != nil {
		return err
	} else if !st.IsDir() {
		return fmt.Errorf("%s is no folder", s)
	}
	return nil
}

func anyText(string) error { return nil }

// onReload marks a setting that SIGHUP takes over.
func onReload(s setting) setting {
	s.reload = true
	return s
}
