package harness

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
)

// binary builds the command once for each test process.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "radial-binary-")
	if err != nil {
		return "", err
	}
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	args := []string{"build", "-o", filepath.Join(dir, "radial")}
	if raceEnabled() {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "./cmd/radial")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	// postgres runs as another user when we are root; the binary must not be
	// hidden from `radial` run that way either
	return filepath.Join(dir, "radial"), os.Chmod(dir, 0o755)
})

// Binary returns the path of the built command.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Root returns the folder of go.mod.
func Root(t testing.TB) string {
	t.Helper()
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

func raceEnabled() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, s := range info.Settings {
		if s.Key == "-race" {
			return s.Value == "true"
		}
	}
	return false
}

// Output is what a command printed, and its exit code.
type Output struct {
	Stdout, Stderr string
	Code           int
}

// CLI runs the command with args and the given variables on top of a clean
// environment, and waits for it.
func CLI(t testing.TB, env []string, args ...string) Output {
	t.Helper()
	return command(t, exec.Command(Binary(t), args...), env)
}

// Tool runs any other program, such as radclient, with text on its standard
// input.
func Tool(t testing.TB, stdin string, name string, args ...string) Output {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	return command(t, cmd, nil)
}

func command(t testing.TB, cmd *exec.Cmd, env []string) Output {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Env = append(cleanEnv(), env...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", cmd, err)
	}
	return Output{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// cleanEnv is the environment without our own variables. The race detector
// makes a program wait for a second when it ends: a moment will do.
func cleanEnv() []string {
	env := []string{"GORACE=atexit_sleep_ms=50"}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "RADIAL_") {
			env = append(env, kv)
		}
	}
	return env
}
