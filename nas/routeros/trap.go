package routeros

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	ros "github.com/go-routeros/routeros/v3"
)

// ErrLogin is a login that the router refused: wrong name or password.
var ErrLogin = errors.New("the router refuses the login")

// ErrBroken is a connection that has failed, in time or in form. What became of
// the command is not known.
var ErrBroken = errors.New("connection to the router is broken")

// Trap is what a router says no with (!trap). Category is RouterOS's: 0 missing
// item or command, 1 an argument's value, 2 interrupted, 3 scripting, 4 general,
// 5 API, 6 TTY, 7 a value of :return; -1 where the router does not tell.
type Trap struct {
	Category int
	Message  string
}

// Error is the router's own text.
func (t *Trap) Error() string { return "the router says: " + t.Message }

// trapOf turns the library's error into ours.
func trapOf(err error) error {
	var device *ros.DeviceError
	if !errors.As(err, &device) {
		return fmt.Errorf("%w: %w", ErrBroken, err)
	}
	t := &Trap{Category: -1, Message: device.Sentence.Map["message"]}
	if c := device.Sentence.Map["category"]; len(c) == 1 && c[0] >= '0' && c[0] <= '9' {
		t.Category = int(c[0] - '0')
	}
	if device.Sentence.Word == "!fatal" {
		return fmt.Errorf("%w: %s", ErrBroken, t.Message)
	}
	return t
}

// IsMissing tells whether an error says that the item, or the command, is not
// there.
func IsMissing(err error) bool {
	var t *Trap
	if !errors.As(err, &t) {
		return false
	}
	message := strings.ToLower(t.Message)
	return slices.ContainsFunc([]string{"no such item", "no such command", "no such user"}, func(text string) bool { return strings.Contains(message, text) })
}
