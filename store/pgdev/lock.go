package pgdev

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// lockExclusive waits for the lock on a file; closing the file releases it, and
// so does the end of the process, however it comes.
func lockExclusive(ctx context.Context, path string) (*os.File, error) {
	return lock(ctx, path, unix.LOCK_EX)
}

func lockShared(ctx context.Context, path string) (*os.File, error) {
	return lock(ctx, path, unix.LOCK_SH)
}

// lock polls: a waiting flock cannot be ended by a context.
func lock(ctx context.Context, path string, how int) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(&os.PathError{Op: "flock", Path: path, Err: err}, f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(&os.PathError{Op: "flock", Path: path, Err: ctx.Err()}, f.Close())
		case <-tick.C:
		}
	}
}

// upgrade turns our shared lock into an exclusive one if nobody else has a share.
func upgrade(f *os.File) (bool, error) {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
