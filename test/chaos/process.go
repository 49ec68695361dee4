package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/test/csidriver"
)

// startTimeout is how long the provider may take until it answers, on a machine that is busy.
const startTimeout = 30 * time.Second

// process is a provider, running.
type process struct {
	cmd      *exec.Cmd
	log      string // file
	admin    string // host:port
	ended    chan struct{}
	err      error       // of its end, once ended is closed
	expected atomic.Bool // that it ends
}

// startProcess starts the program with the socket directory, flags and environment, and waits until its socket
// answers. onCrash is called where it ends without having been told to.
func startProcess(ctx context.Context, program, dir, log string, flags, env []string, onCrash func(error)) (*process, error) {
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // the process has its own
	p := &process{log: log, admin: admin, ended: make(chan struct{})}
	args := append([]string{"--provider-volume=" + dir, "--admin-address=" + admin, "--log-format=json"}, flags...)
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), program, args...) // stop ends it
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = env, file, file
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it does not outlive the test
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the provider: %w", err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
		if !p.expected.Load() {
			onCrash(fmt.Errorf("the provider ended by itself: %w; its log is %s", errors.Join(p.err, io.EOF), log))
		}
	}()
	if err := p.awaitServing(ctx); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// awaitServing waits until the process says that it serves, which it does once its socket is in place.
func (p *process) awaitServing(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		if data, err := os.ReadFile(p.log); err == nil && strings.Contains(string(data), `"msg":"serving"`) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the provider does not serve after %s; its log is %s", startTimeout, p.log)
		case <-p.ended:
			return fmt.Errorf("the provider does not start: %w; its log is %s", p.err, p.log)
		case <-time.After(time.Millisecond):
		}
	}
}

func (p *process) signal(s os.Signal) {
	_ = p.cmd.Process.Signal(s) // it may have ended: ended tells
}

// kill ends the process at once.
func (p *process) kill() {
	p.expected.Store(true)
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.ended
}

// terminate asks the process to end. It may finish what it does.
func (p *process) terminate() {
	p.expected.Store(true)
	p.signal(syscall.SIGTERM)
}

// stopTimeout is more than the 25 s that the provider may take to end.
const stopTimeout = 40 * time.Second

// wait waits for the end of a process that was told to, and gives an error where it did not end well.
func (p *process) wait() error {
	select {
	case <-p.ended:
		if p.err != nil {
			return fmt.Errorf("the provider ended badly: %w; its log is %s", p.err, p.log)
		}
		return nil
	case <-time.After(stopTimeout):
		p.kill()
		return fmt.Errorf("the provider did not end within %s of SIGTERM; its log is %s", stopTimeout, p.log)
	}
}

// answers waits until somebody answers on the socket in dir.
func answers(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	conn, err := csidriver.Dial(dir + "/aws.sock")
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // nothing was written that could be lost
	if _, err = v1alpha1.NewCSIDriverProviderClient(conn).Version(ctx, &v1alpha1.VersionRequest{Version: "v1alpha1"}); err != nil {
		return fmt.Errorf("nobody answers on the socket for %s: %w", startTimeout, err)
	}
	return nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// usage is what a process holds.
type usage struct {
	resident    float64 // MiB
	goroutines  int
	descriptors int
}

func (u usage) String() string {
	return fmt.Sprintf("%.0f MiB, %d goroutines, %d descriptors", u.resident, u.goroutines, u.descriptors)
}

// exceeds says what of u does not come back to a baseline; empty where all does. Some play is left: idle
// connections to AWS, and what Go has not given back to the system.
func (u usage) exceeds(base usage) string {
	switch {
	case u.goroutines > base.goroutines+20:
		return fmt.Sprintf("%d goroutines, %d before", u.goroutines, base.goroutines)
	case u.descriptors > base.descriptors+10:
		return fmt.Sprintf("%d descriptors, %d before", u.descriptors, base.descriptors)
	case u.resident > base.resident*1.5+16:
		return fmt.Sprintf("%.0f MiB, %.0f before", u.resident, base.resident)
	default:
		return ""
	}
}

// measure asks the process and the system.
func (p *process) measure(ctx context.Context) (usage, error) {
	var u usage
	pid := p.cmd.Process.Pid
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return u, err
	}
	u.descriptors = len(entries)
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 64)
			if err != nil {
				return u, err
			}
			u.resident = kib / 1024
		}
	}
	u.goroutines, err = p.goroutines(ctx)
	return u, err
}

func (p *process) goroutines(ctx context.Context) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	// A connection that is kept would be the provider's descriptor and goroutine.
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}).Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "go_goroutines "); ok {
			return strconv.Atoi(rest)
		}
	}
	return 0, errors.Join(lines.Err(), errors.New("the provider's metrics lack go_goroutines"))
}
