// Command demo runs one mount on one machine, without AWS, without a cluster and without root: from
// a pod to its files, then a rotation, then the messages of three common mistakes.
//
// The provider is the real program in its own process. test/awssim stands for AWS, test/kubesim for the
// Kubernetes API and test/csidriver for the CSI driver. Each step checks what it prints: if the demo
// exits with status 0, every printed line is true.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// demoTimeout limits the demo, without the build of the provider. The demo takes about a second.
const demoTimeout = 30 * time.Second

// options are the flags.
type options struct {
	provider string // path of the program; if empty, the demo builds it
	dir      string // folder to work in; if empty, a temporary one
	keep     bool   // keep the mounted files in that folder
}

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		os.Exit(2) // the flag package has printed the reason
	}
	// SIGPIPE is in the list for `make demo | head`: by default it ends the demo before it removes its files.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	err = run(ctx, o, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.StringVar(&o.provider, "provider", "", "provider `program` to run, such as bin/secrets-provider-aws (default: build it)")
	flags.StringVar(&o.dir, "dir", "", "`folder` to work in, new or empty (default: a temporary folder)")
	flags.BoolVar(&o.keep, "keep", false, "keep the mounted files in the folder")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		err := fmt.Errorf("demo takes only flags, not %q", flags.Args())
		fmt.Fprintln(flags.Output(), err)
		return o, err
	}
	return o, nil
}

// run runs the demo and prints it to out. In every case it stops the provider and removes its files
// before it returns.
func run(ctx context.Context, o options, out io.Writer) error {
	p := &page{out: out}
	left, err := play(ctx, o, p)
	if err != nil {
		return err
	}
	p.say("The provider has stopped. Its log contains no secret value and no token.")
	if left == "" {
		p.say("Nothing is left behind.")
	} else {
		p.say("The mounted files are in")
		p.show(left)
	}
	return p.err
}

// play opens the folder, runs the demo and tidies the folder. It returns the path of the mounted files
// if it keeps them, and "" otherwise.
func play(ctx context.Context, o options, p *page) (left string, err error) {
	work, err := openFolder(o.dir)
	if err != nil {
		return "", err
	}
	defer func() {
		tidied := work.tidy(o.keep)
		if err = errors.Join(err, tidied); err == nil && o.keep {
			left = work.mount()
		}
	}()
	if o.provider == "" {
		p.say("Building the provider. Without Go's build cache this takes a minute or two.")
		o.provider = work.path("secrets-provider-aws")
		if err := build(ctx, o.provider); err != nil {
			return "", err
		}
	}
	a, err := readArticle()
	if err != nil {
		return "", err
	}

	ctx, cancel := context.WithTimeoutCause(ctx, demoTimeout, fmt.Errorf("it took longer than %s", demoTimeout))
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	w := &world{work: work}
	if err = w.start(ctx, fail, a, o.provider); err == nil {
		err = tell(ctx, p, a, w)
	}
	if err != nil && context.Cause(ctx) != nil { // the cause, not the error that followed from it
		err = context.Cause(ctx)
	}
	return "", errors.Join(err, w.close())
}
