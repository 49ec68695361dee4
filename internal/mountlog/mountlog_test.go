package mountlog_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"secrets-provider-aws/internal/mountlog"
)

func TestLinesCarryTheNumberOfTheirRequest(t *testing.T) {
	var out strings.Builder
	text := slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	log := slog.New(mountlog.Handler{Handler: text})
	ctx := mountlog.With(context.Background(), 7)
	log.InfoContext(ctx, "in a request")
	log.With("key", "value").InfoContext(context.WithoutCancel(ctx), "detached from it")
	log.Info("outside of a request")
	const want = "level=INFO msg=\"in a request\" request=7\nlevel=INFO msg=\"detached from it\" key=value request=7\nlevel=INFO msg=\"outside of a request\"\n"
	if out.String() != want {
		t.Errorf("log %q, want %q", out.String(), want)
	}
}
