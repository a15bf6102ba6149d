package radius

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if ceiling() {
		return
	}
	goleak.VerifyTestMain(m)
}
