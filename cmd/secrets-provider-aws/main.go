// Command secrets-provider-aws is the AWS provider for the Kubernetes Secrets Store CSI driver.
// Without a subcommand it serves. It accepts the flags of AWS's own provider.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	// Root certificates for an image without any. Go uses them only if the system has none.
	_ "golang.org/x/crypto/x509roots/fallback"
)

// version is set by the build. It must be a semantic version.
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
		os.Exit(exit.code) //nolint:gocritic // stop has nothing to release before exit
	}
}
