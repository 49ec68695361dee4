package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/test/csidriver"
)

// cacheMiB is the default size of the provider's cache, in MiB.
const cacheMiB = 64

// Time limits for the provider to start and to stop.
const (
	startTimeout = 20 * time.Second
	stopTimeout  = 40 * time.Second
)

// provider is a running process of the program under test.
type provider struct {
	pid    int
	served time.Duration // from exec to the first response on the socket
	driver *grpc.ClientConn
	client v1alpha1.CSIDriverProviderClient
	log    string // path of the log file
	cmd    *exec.Cmd
}

// startProvider starts the program as its DaemonSet does, with extra flags. As with the real AWS, STS and Secrets Manager have
// different host names and share no connections.
func (w *world) startProvider(ctx context.Context, flags ...string) (*provider, error) {
	w.runs++
	volume := filepath.Join(w.dir, fmt.Sprintf("volume-%d", w.runs))
	p := &provider{log: volume + ".log"}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the provider has its own file descriptor
	env, err := w.awsHosts()
	if err != nil {
		return nil, err
	}
	args := append([]string{"--provider-volume=" + volume, "--kubeconfig=" + w.kubeconfig(), "--admin-address=", "--qps=1000", "--burst=1000"}, flags...)
	p.cmd = exec.CommandContext(context.WithoutCancel(ctx), w.provider, args...) // stop terminates it
	env = append(env, "AWS_REGION="+region, "AWS_CA_BUNDLE="+w.caFile(),
		"AWS_CONFIG_FILE="+os.DevNull, "AWS_SHARED_CREDENTIALS_FILE="+os.DevNull, "GOMEMLIMIT="+w.memoryLimit)
	if w.collector != nil {
		env = append(env, "OTEL_EXPORTER_OTLP_ENDPOINT="+w.collector.URL)
	}
	p.cmd.Env = env
	p.cmd.Stdout, p.cmd.Stderr = log, log
	started := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the provider: %w", err)
	}
	p.pid = p.cmd.Process.Pid
	if err := p.awaitSocket(ctx, filepath.Join(volume, "aws.sock")); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	p.served = time.Since(started)
	return p, nil
}

// awsHosts returns the environment variables that direct the provider to AWS.
func (w *world) awsHosts() ([]string, error) {
	if w.realHosts {
		return []string{"HTTPS_PROXY=" + strings.Replace(w.aws.url, "https:", "http:", 1)}, nil // awssim.Sim.ProxyURL
	}
	stsURL, err := asHost(w.aws.url, "localhost")
	return []string{"AWS_ENDPOINT_URL=" + w.aws.url, "AWS_ENDPOINT_URL_STS=" + stsURL}, err
}

// asHost replaces the host name in a URL by another name of the same machine.
func asHost(from, host string) (string, error) {
	u, err := url.Parse(from)
	if err != nil {
		return "", err
	}
	u.Host = host + ":" + u.Port()
	return u.String(), nil
}

// awaitSocket waits until the provider responds. It dials only after the socket exists, because gRPC waits a second after a
// failed attempt.
func (p *provider) awaitSocket(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the provider created no socket: %w%s", ctx.Err(), p.logTail())
		case <-time.After(500 * time.Microsecond):
		}
	}
	var err error
	if p.driver, err = csidriver.Dial(socket); err != nil {
		return err
	}
	p.client = v1alpha1.NewCSIDriverProviderClient(p.driver)
	if _, err := p.client.Version(ctx, &v1alpha1.VersionRequest{Version: "v1alpha1"}); err != nil {
		return fmt.Errorf("call Version of the provider: %w%s", err, p.logTail())
	}
	return nil
}

// stop terminates the provider as the kubelet does.
func (p *provider) stop() error {
	if p.driver != nil {
		_ = p.driver.Close() // it has no state to lose
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // if it has already exited, Wait reports it
	kill := time.AfterFunc(stopTimeout, func() { _ = p.cmd.Process.Kill() })
	defer kill.Stop()
	if err := p.cmd.Wait(); err != nil {
		return fmt.Errorf("the provider exited with an error: %w%s", err, p.logTail())
	}
	return nil
}

// logTail returns the end of the provider's log, for an error message.
func (p *provider) logTail() string {
	data, err := os.ReadFile(p.log)
	if err != nil || len(data) == 0 {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return "; its log ends with:\n" + strings.Join(lines[max(len(lines)-5, 0):], "\n")
}
