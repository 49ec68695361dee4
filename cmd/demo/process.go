package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// stopTimeout is how long the provider may take to stop before it is killed.
const stopTimeout = 5 * time.Second

// process is the provider, running as it does on a node.
type process struct {
	stop   context.CancelFunc
	exited chan struct{}
	err    error        // how it ended; to be read once exited is closed, as is output
	output bytes.Buffer // what it said: its log
}

// startProcess starts program with args and exactly env: the environment of the demo, with whatever
// AWS_* and proxies are set there, is not the provider's. died is called when it ends by itself.
func startProcess(ctx context.Context, died func(error), program string, args, env []string) (*process, error) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx)) // end stops it, in its place in the order
	p := &process{stop: stop, exited: make(chan struct{})}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTimeout
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the demo, which then stops the provider
	if err := cmd.Start(); err != nil {
		stop()
		return nil, fmt.Errorf("start the provider: %w", err)
	}
	go func() {
		defer close(p.exited)
		err := cmd.Wait()
		if ctx.Err() == nil {
			died(fmt.Errorf("the provider ended by itself (%s)%s", cmd.ProcessState, p.said()))
			return
		}
		p.err = err
	}()
	return p, nil
}

// end stops the process with SIGTERM, as the kubelet does, and waits for it.
func (p *process) end() error {
	p.stop()
	<-p.exited
	if p.err == nil || errors.Is(p.err, context.Canceled) { // Wait's way to say: stopped as told, status 0
		return nil
	}
	return fmt.Errorf("the provider did not stop as it should: %w%s", p.err, p.said())
}

// said is the end of an error message: what the process has said.
func (p *process) said() string {
	text := strings.TrimSpace(p.output.String())
	if text == "" {
		return " and said nothing"
	}
	return " and said:\n" + text
}

// build builds the provider as the program path. It needs the source tree around it.
func build(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", path, "secrets-provider-aws/cmd/secrets-provider-aws")
	output, err := cmd.CombinedOutput()
	switch {
	case context.Cause(ctx) != nil:
		return fmt.Errorf("build the provider: %w", context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("build the provider (or name one by --provider): %w\n%s", err, bytes.TrimSpace(output))
	}
	return nil
}
