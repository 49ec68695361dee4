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

// stopTimeout is how long the provider may take to stop before the demo kills it.
const stopTimeout = 5 * time.Second

// process is the running provider.
type process struct {
	stop   context.CancelFunc
	exited chan struct{}
	err    error        // how it ended; read it, and output, only after exited is closed
	output bytes.Buffer // its log
}

// startProcess starts program with args and only env, so that AWS_* and proxy variables of the demo do
// not reach the provider. It calls died if the process exits by itself.
func startProcess(ctx context.Context, died func(error), program string, args, env []string) (*process, error) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx)) // only end stops it, so that the order of shutdown holds
	p := &process{stop: stop, exited: make(chan struct{})}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = &p.output, &p.output
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTimeout
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches only the demo, which then stops the provider
	if err := cmd.Start(); err != nil {
		stop()
		return nil, fmt.Errorf("start the provider: %w", err)
	}
	go func() {
		defer close(p.exited)
		err := cmd.Wait()
		if ctx.Err() == nil {
			died(fmt.Errorf("the provider exited by itself (%s)%s", cmd.ProcessState, p.said()))
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
	if p.err == nil || errors.Is(p.err, context.Canceled) { // Wait returns it after SIGTERM and status 0
		return nil
	}
	return fmt.Errorf("the provider did not stop cleanly: %w%s", p.err, p.said())
}

// said is the end of an error message: the output of the process.
func (p *process) said() string {
	text := strings.TrimSpace(p.output.String())
	if text == "" {
		return " and printed nothing"
	}
	return " and printed:\n" + text
}

// build compiles the provider into path. The working directory must be inside the source tree.
func build(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", path, "secrets-provider-aws/cmd/secrets-provider-aws")
	output, err := cmd.CombinedOutput()
	switch {
	case context.Cause(ctx) != nil:
		return fmt.Errorf("build the provider: %w", context.Cause(ctx))
	case err != nil:
		return fmt.Errorf("build the provider (or set --provider): %w\n%s", err, bytes.TrimSpace(output))
	}
	return nil
}
