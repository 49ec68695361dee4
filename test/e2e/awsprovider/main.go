// Command awsprovider stands in for AWS's provider in the tests of a migration. It has AWS's flags and AWS's way with the socket: it
// removes the file at the path when it starts, and again when it ends, even if the file is not its own. A provider of this project
// behind it answers the calls.
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

func main() {
	volume := flag.String("provider-volume", "/var/run/secrets-store-csi-providers", "the folder of the socket")
	flag.Bool("driver-writes-secrets", false, "without effect: the driver always writes the files")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := run(ctx, filepath.Join(*volume, "aws.sock"), "/secrets-provider-aws")
	stop()
	if err != nil {
		log.Print(err)
		os.Exit(1)
	}
}

// run serves on the socket until ctx ends or the provider exits. Calls in progress then end before it returns.
func run(ctx context.Context, socket, program string) error {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return err
	}
	behind := filepath.Join(dir, "aws.sock")
	// AWS's provider reads again at each republish.
	provider := exec.CommandContext(ctx, program, "--provider-volume="+dir, "--admin-address=", "--refresh-interval=1s", "--v=9")
	provider.Cancel = func() error { return provider.Process.Signal(syscall.SIGTERM) }
	provider.Stdout, provider.Stderr = os.Stdout, os.Stderr
	if err := provider.Start(); err != nil {
		return err
	}
	exited := make(chan error, 1)
	go func() { exited <- provider.Wait() }()
	for !listens(ctx, behind) {
		select {
		case err := <-exited:
			return errors.Join(errors.New("the provider exited"), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	listener, err := net.Listen("unix", socket) // Close removes the file at the path
	if err != nil {
		return err
	}
	var open sync.WaitGroup
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			open.Go(func() { forward(context.WithoutCancel(ctx), conn, behind) })
		}
	}()
	select {
	case err = <-exited:
	case <-ctx.Done():
		_ = listener.Close()
		if err = <-exited; errors.Is(err, context.Canceled) {
			err = nil
		}
	}
	_ = listener.Close()
	open.Wait()
	return err
}

func listens(ctx context.Context, socket string) bool {
	conn, err := dial(ctx, socket)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// forward copies between the connection and a new one to the socket, until both sides have ended.
func forward(ctx context.Context, conn net.Conn, socket string) {
	defer func() { _ = conn.Close() }()
	behind, err := dial(ctx, socket)
	if err != nil {
		return
	}
	defer func() { _ = behind.Close() }()
	var both sync.WaitGroup
	for _, way := range []struct{ to, from net.Conn }{{behind, conn}, {conn, behind}} {
		both.Go(func() {
			_, _ = io.Copy(way.to, way.from)
			_ = way.to.(*net.UnixConn).CloseWrite()
		})
	}
	both.Wait()
}

func dial(ctx context.Context, socket string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", socket)
}
