package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// startTimeout is how long the provider may take to serve, stopTimeout to end.
const (
	startTimeout = 20 * time.Second
	stopTimeout  = 40 * time.Second
)

// maxLine is the most that one line of the log may take: more than a message and its attributes ever do.
const maxLine = 16 << 10 // bytes

// process is the provider under attack.
type process struct {
	cmd    *exec.Cmd
	socket string
	admin  string // URL
	log    *logWatch
	ended  chan struct{} // closed with the end of its log
}

func startProvider(ctx context.Context, o options, w *world, report *report) (*process, error) {
	program, err := filepath.Abs(o.provider)
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	volume := filepath.Join(w.dir, "volume")
	p := &process{socket: filepath.Join(volume, "aws.sock"), admin: "http://" + admin, log: &logWatch{report: report}, ended: make(chan struct{})}
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), program, "--provider-volume="+volume, "--kubeconfig="+w.kubeconfig(), // stop ends it
		"--admin-address="+admin, "--qps=100000", "--burst=100000", "--pod-identity-http-timeout=20ms", "-v=10")
	p.cmd.Env = []string{
		"AWS_REGION=" + region, "AWS_ENDPOINT_URL=" + w.aws.URL(), "AWS_CONFIG_FILE=" + os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull, "GOMEMLIMIT=" + o.limits.goMemory,
	}
	out, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the provider (make build makes it): %w", err)
	}
	go func() {
		defer close(p.ended)
		p.log.read(out)
	}()
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(time.Millisecond) {
		if conn, err := new(net.Dialer).DialContext(ctx, "unix", p.socket); err == nil {
			return p, conn.Close()
		}
		if !p.alive() || time.Now().After(deadline) {
			return nil, fmt.Errorf("the provider does not serve: %s", p.log.end())
		}
	}
}

// freeAddress is one that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// alive reports whether the process that was started still runs.
func (p *process) alive() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// stop ends the provider as the kubelet does.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended: Wait tells
	kill := time.AfterFunc(stopTimeout, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	<-p.ended
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("the provider ended badly: %w: %s", err, p.log.end())
	}
	return nil
}

// metrics are the samples of the provider's own metrics, by name with labels.
func (p *process) metrics(ctx context.Context) (samples map[string]float64, text []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.admin+"/metrics", http.NoBody)
	if err != nil {
		return nil, nil, err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // its connection would count
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if text, err = io.ReadAll(resp.Body); err != nil {
		return nil, nil, err
	}
	samples = map[string]float64{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if i := strings.LastIndexByte(line, ' '); i > 0 && !strings.HasPrefix(line, "#") {
			if value, err := strconv.ParseFloat(line[i+1:], 64); err == nil {
				samples[line[:i]] = value
			}
		}
	}
	return samples, text, nil
}

// clockTick is the unit of CPU time in /proc, on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// cpuTime is what the process has used so far, in user and kernel mode (proc_pid_stat(5)).
func (p *process) cpuTime() (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid()))
	if err != nil {
		return 0, err
	}
	// The name of the program stands in parentheses and may hold anything.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	const utime, stime = 14 - 3, 15 - 3 // numbered from 1, and two are cut off
	user, err := strconv.ParseInt(fields[utime], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[stime], 10, 64)
	return time.Duration(user+system) * clockTick, err
}

// peakMiB is the most resident memory that the process has had (proc_pid_status(5)).
func (p *process) peakMiB() (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
			return kib / 1024, err
		}
	}
	return 0, errors.New("the process has no VmHWM")
}

// logWatch reads the provider's log as it comes, and keeps its end.
type logWatch struct {
	report *report

	mu    sync.Mutex
	last  []string
	lines int64
	bytes int64
	most  int // bytes of the longest line
}

func (l *logWatch) read(from io.Reader) {
	in := bufio.NewReaderSize(from, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			l.add(line)
		}
		if err != nil {
			return
		}
	}
}

// crashes are what the Go runtime and the provider write of a panic.
var crashes = [][]byte{[]byte("panic"), []byte("goroutine "), []byte("fatal error"), []byte("runtime error")}

func (l *logWatch) add(line []byte) {
	l.mu.Lock()
	l.lines++
	l.bytes += int64(len(line))
	l.most = max(l.most, len(line))
	l.last = append(l.last, string(line[:min(len(line), 2000)]))
	if len(l.last) > 60 {
		l.last = l.last[30:]
	}
	l.mu.Unlock()
	for _, crash := range crashes {
		if bytes.Contains(line, crash) {
			l.report.violate("the log tells of a crash: %s", line[:min(len(line), 1000)])
			break
		}
	}
	if where, found := leak(line); found {
		l.report.violate("the log shows a secret: %s", where)
	}
	if len(line) > maxLine {
		l.report.violate("a line of the log has %d bytes: %s", len(line), line[:500])
	}
}

// end is the end of the log.
func (l *logWatch) end() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.last[max(0, len(l.last)-30):], "")
}

// size of the log so far.
func (l *logWatch) size() (lines, bytes int64, longest int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines, l.bytes, l.most
}
