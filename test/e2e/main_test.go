//go:build e2e

package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"secrets-provider-aws/test/node"
)

// shared is the world of all cases. TestMain sets it before the first case.
var shared *world

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	start := time.Now()
	w, err := newWorld(ctx)
	defer func() {
		if err := w.close(context.WithoutCancel(ctx)); err != nil {
			logf("%v", err)
		}
	}()
	if err != nil {
		return refuse(err)
	}
	// A test that is waiting does not notice the signal.
	defer context.AfterFunc(ctx, func() {
		logf("interrupted: the node goes down")
		_ = w.close(context.WithoutCancel(ctx))
		os.Exit(1)
	})()
	logf("everything is up after %s", time.Since(start).Round(time.Second))
	shared = w
	return m.Run()
}

// refuse reports why the world did not start. If the machine cannot run it, it prints one line per reason.
func refuse(err error) int {
	var precondition *node.PreconditionError
	if !errors.As(err, &precondition) {
		logf("%v", err)
		return 1
	}
	result, code := "FAILED", 1
	if os.Getenv("E2E_OPTIONAL") == "1" {
		result, code = "SKIPPED", 0
	}
	for _, reason := range precondition.Reasons {
		logf("end-to-end tests %s: %s", result, strings.TrimSpace(reason))
	}
	return code
}

func logf(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", arguments...)
}
