package jobs

import (
	"context"
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// riverLog hands River's log lines to zap. River says at info what we say at
// debug.
type riverLog struct{ log *zap.Logger }

func zapLevel(l slog.Level) zapcore.Level {
	switch {
	case l >= slog.LevelError:
		return zapcore.ErrorLevel
	case l >= slog.LevelWarn:
		return zapcore.WarnLevel
	default:
		return zapcore.DebugLevel
	}
}

// Enabled tells whether lines of a level are wanted.
func (r riverLog) Enabled(_ context.Context, l slog.Level) bool {
	return r.log.Core().Enabled(zapLevel(l))
}

// Handle writes a line.
func (r riverLog) Handle(_ context.Context, rec slog.Record) error {
	var fields []zap.Field
	rec.Attrs(func(a slog.Attr) bool {
		fields = append(fields, zapField(a))
		return true
	})
	r.log.Log(zapLevel(rec.Level), rec.Message, fields...)
	return nil
}

// WithAttrs returns a handler whose lines carry attrs.
func (r riverLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	fields := make([]zap.Field, len(attrs))
	for i, a := range attrs {
		fields[i] = zapField(a)
	}
	return riverLog{r.log.With(fields...)}
}

// WithGroup returns a handler that names its lines by a group.
func (r riverLog) WithGroup(name string) slog.Handler { return riverLog{r.log.Named(name)} }

func zapField(a slog.Attr) zap.Field { return zap.Any(a.Key, a.Value.Resolve().Any()) }
