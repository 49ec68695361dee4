// Command node runs the end-to-end tests' Kubernetes node by hand.
//
//	node check              print why this machine cannot run a node, one reason per line; nothing if it can
//	node build              build the programs and images that are not cached
//	node up                 build, and start the node; it keeps running
//	node down [-force]      stop the node and remove its files; -force: even if another process uses it
//	node status             print what is running
//	node images ARCHIVE...  load image archives into the node
//	node kubeconfig         print the path of the administrator's kubeconfig
//	node helm               print the path of helm; build it if needed
//
// NODE_HOME is the folder of the cache, the logs and the node.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"secrets-provider-aws/test/node"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string) error {
	cfg := node.Config{Logf: func(format string, arguments ...any) { fmt.Fprintf(os.Stderr, format+"\n", arguments...) }}
	if len(arguments) == 0 {
		return errors.New("usage: node check|build|up|down|status|images|kubeconfig|helm")
	}
	switch command, rest := arguments[0], arguments[1:]; command {
	case "check":
		err := node.Check(ctx, cfg)
		if node.IsPrecondition(err) {
			fmt.Println(err)
			return nil
		}
		return err
	case "build":
		return node.Build(ctx, cfg)
	case "up":
		n, err := node.Up(ctx, cfg)
		if err != nil {
			return err
		}
		fmt.Printf("export KUBECONFIG=%s\n", n.Kubeconfig())
		return n.Detach()
	case "down":
		return node.Down(ctx, cfg, slices.Contains(rest, "-force"))
	case "status":
		text, err := node.Status(cfg)
		fmt.Print(text)
		return err
	case "helm":
		path, err := node.HelmPath(ctx, cfg)
		fmt.Println(path)
		return err
	case "images", "kubeconfig":
		n, err := node.Attach(ctx, cfg)
		if err != nil {
			return err
		}
		if command == "kubeconfig" {
			fmt.Println(n.Kubeconfig())
			return nil
		}
		for _, archive := range rest {
			if err := n.LoadImage(ctx, archive); err != nil {
				return err
			}
		}
		return nil
	default:
		return fmt.Errorf("no command %q", command)
	}
}
