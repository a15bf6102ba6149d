package store_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cpuTime is the processor time of this process and of PostgreSQL's, the latter
// in steps of 10 ms.
type cpuTime struct{ own, postgres time.Duration }

// ownTime is the processor time of this process so far.
func ownTime(b *testing.B) time.Duration {
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		b.Fatal(err)
	}
	return time.Duration(own.Utime.Nano() + own.Stime.Nano())
}

// postgres is the processor time of PostgreSQL's processes so far.
func (m *leaseBench) postgres() time.Duration {
	ticks := 0
	for _, path := range m.backends {
		fields, err := statOf(path)
		if err != nil {
			continue // it has ended
		}
		for _, f := range fields[11:13] { // utime and stime
			n, err := strconv.Atoi(f)
			if err != nil {
				m.b.Fatal(err)
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// findBackends looks for the processes of PostgreSQL.
func (m *leaseBench) findBackends() {
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		m.b.Fatal(err)
	}
	m.backends = slices.DeleteFunc(all, func(path string) bool {
		fields, err := statOf(path)
		return err != nil || fields[1] != m.postmaster // its parent
	})
}

// statOf reads the fields of a process's stat from its state on.
func statOf(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])), nil
}
