package main

import (
	"errors"
	"net"
	"strings"
	"testing"

	"radial/aaa"
	"radial/store"
)

// TestOrderSoFar: who gives up waiting is told what is known by then.
func TestOrderSoFar(t *testing.T) {
	silent := troubleView{Session: 2, Detail: "10.0.0.1 does not answer"}
	refused := troubleView{Session: 1, Result: "refused", Detail: "503"}
	for want, c := range map[string]struct {
		trouble []troubleView
		job     store.Job
	}{
		"10.0.0.1 does not answer; it is tried again":      {[]troubleView{refused, silent}, store.Job{State: "scheduled", By: []string{"a"}}},
		"no server has begun yet: the job is available":    {nil, store.Job{State: "available"}},
		"no device has answered yet: the job is running":   {nil, store.Job{State: "running", By: []string{"a"}}},
		"no device has answered yet: the job is scheduled": {[]troubleView{refused}, store.Job{State: "scheduled", By: []string{"a"}}},
	} {
		if got := soFar(&orderView{Trouble: c.trouble}, &c.job); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestUnknownHost: only a resolver that knows that there is none refuses a name.
func TestUnknownHost(t *testing.T) {
	err := unknownHost("pop1.example", &net.DNSError{Name: "pop1.example", IsNotFound: true})
	if !errors.Is(err, aaa.ErrInvalid) || !strings.Contains(err.Error(), `"pop1.example": is neither an IP address nor a host name that resolves`) {
		t.Error(err)
	}
	for _, fine := range []error{nil, &net.DNSError{Name: "pop1.example", IsTimeout: true}, errors.New("no resolver")} {
		if err := unknownHost("pop1.example", fine); err != nil {
			t.Errorf("%v: %v", fine, err)
		}
	}
}
