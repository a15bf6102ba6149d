package main

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"radial/nas/routeros"
)

// The values of flags.

func setText[T any](field func(o *T) *string) func(*T, string) error {
	return func(o *T, text string) error {
		*field(o) = text
		return nil
	}
}

func setWords[T any](field func(o *T) *[]string) func(*T, string) error {
	return func(o *T, text string) error {
		*field(o) = nil
		if text != "" {
			*field(o) = strings.Split(text, ",")
		}
		return nil
	}
}

func setFlag[T any](field func(o *T) *bool) func(*T, string) error {
	return func(o *T, text string) (err error) {
		if *field(o), err = routeros.ParseBool(text); err != nil {
			return fmt.Errorf("%q: want yes or no", text)
		}
		return nil
	}
}

func setSpan[T any](field func(o *T) *routeros.Span) func(*T, string) error {
	return func(o *T, text string) error {
		t, err := routeros.ParseDuration(text)
		*field(o) = routeros.Span(t)
		return err
	}
}

func setCount[T any](field func(o *T) *uint64) func(*T, string) error {
	return func(o *T, text string) (err error) {
		if *field(o), err = strconv.ParseUint(text, 10, 64); err != nil {
			return fmt.Errorf("%q: want a number of octets, 0 for none", text)
		}
		return nil
	}
}

func setRates[T any](field func(o *T) *routeros.RatePair) func(*T, string) error {
	return func(o *T, text string) (err error) {
		*field(o), err = routeros.ParseRatePair(text)
		return err
	}
}

func setAddr[T any](field func(o *T) *netip.Addr) func(*T, string) error {
	return func(o *T, text string) (err error) {
		*field(o) = netip.Addr{}
		if text == "" {
			return nil
		}
		if *field(o), err = netip.ParseAddr(text); err != nil {
			return fmt.Errorf("%q: want an IP address, or \"\" for none", text)
		}
		return nil
	}
}
