// Command demo plays the way of one mount on one machine, without AWS, without a cluster and without
// root: from a pod to its files, then a rotation, then what three mistakes look like to their author.
//
// The provider is the real program, in a process of its own. AWS is test/awssim, the Kubernetes API
// test/kubesim, and the CSI driver test/csidriver. Each step checks what it tells, so that a demo
// which ends with status 0 is a page on which every line has happened.
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

// playTimeout is the most that everything but building the provider may take; it takes about a second.
const playTimeout = 30 * time.Second

// options are the flags.
type options struct {
	provider string // the program; built where empty
	dir      string // folder to work in; a temporary one where empty
	keep     bool   // leave the mounted files in that folder
}

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		os.Exit(2) // the flag package has said why
	}
	// SIGPIPE is among them for `make demo | head`: it would end the demo before it has tidied up.
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
	flags.StringVar(&o.provider, "provider", "", "`program` to play with, such as bin/secrets-provider-aws (default: built for the demo)")
	flags.StringVar(&o.dir, "dir", "", "`folder` to work in, new or empty (default: a temporary one)")
	flags.BoolVar(&o.keep, "keep", false, "leave the mounted files in the folder, to look at them")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		err := fmt.Errorf("demo takes no arguments but its flags, and was given %q", flags.Args())
		fmt.Fprintln(flags.Output(), err)
		return o, err
	}
	return o, nil
}

// run plays the demo and prints it to out. Whatever happens, it ends with the provider stopped and
// the folder tidied.
func run(ctx context.Context, o options, out io.Writer) error {
	p := &page{out: out}
	left, err := play(ctx, o, p)
	if err != nil {
		return err
	}
	p.say("The provider has stopped. Its log was searched: no secret value and no token is in it.")
	if left == "" {
		p.say("Nothing is left behind.")
	} else {
		p.say("The mounted files are left in")
		p.show(left)
	}
	return p.err
}

// play is the demo from opening its folder to tidying it. It returns where the mounted files are left,
// empty where they are not.
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
		p.say("Building the provider; without Go's cache this takes a minute or two.")
		o.provider = work.path("secrets-provider-aws")
		if err := build(ctx, o.provider); err != nil {
			return "", err
		}
	}
	a, err := readArticle()
	if err != nil {
		return "", err
	}

	ctx, cancel := context.WithTimeoutCause(ctx, playTimeout, fmt.Errorf("it took longer than %s", playTimeout))
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	w := &world{work: work}
	if err = w.start(ctx, fail, a, o.provider); err == nil {
		err = tell(ctx, p, a, w)
	}
	if err != nil && context.Cause(ctx) != nil { // the reason, where the error is only what came of it
		err = context.Cause(ctx)
	}
	return "", errors.Join(err, w.close())
}
