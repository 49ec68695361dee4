// Package mountlog ties log lines to the mount request that they belong to: each line carries the number of its
// request, in whichever package it is written.
package mountlog

import (
	"context"
	"log/slog"
)

// Key is the log key of the number.
const Key = "request"

type contextKey struct{}

// With is ctx with the number of a mount request.
func With(ctx context.Context, number uint64) context.Context {
	return context.WithValue(ctx, contextKey{}, number)
}

// Handler adds to each record the number that its context has. A read that several requests share carries the number
// of the request that started it.
type Handler struct{ slog.Handler }

// Handle implements slog.Handler.
func (h Handler) Handle(ctx context.Context, r slog.Record) error {
	if number, ok := ctx.Value(contextKey{}).(uint64); ok {
		r.AddAttrs(slog.Uint64(Key, number))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return Handler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h Handler) WithGroup(name string) slog.Handler { return Handler{h.Handler.WithGroup(name)} }
