package store_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if url := os.Getenv(partyVariable); url != "" { // this is the second process of a test
		os.Exit(serveParty(url))
	}
	goleak.VerifyTestMain(m)
}
