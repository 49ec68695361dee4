// Command secrets-provider-aws is the AWS provider of the Kubernetes Secrets Store CSI driver.
// Without a subcommand it serves, with the flags that AWS's own provider takes.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	// Root certificates for an image that has none, used only where the system has none either.
	_ "golang.org/x/crypto/x509roots/fallback"
)

// version is stamped by the build; it must be semver.
var version = "0.0.0-unstamped"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	root := newCommand()
	root.SetArgs(withDoubleDashes(os.Args[1:], root.Flags()))
	if err := root.ExecuteContext(ctx); err != nil {
		exit := exitError{code: 1, cause: err}
		errors.As(err, &exit)
		if exit.cause != nil {
			fmt.Fprintln(os.Stderr, "secrets-provider-aws:", err)
		}
		os.Exit(exit.code) //nolint:gocritic // the signal handler has nothing to undo
	}
}
