package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"secrets-provider-aws/test/csidriver"
	"secrets-provider-aws/test/kubesim"
)

// tester mounts through a provider process.
type tester struct {
	plan
	identity *identity
	account  *account
	out      io.Writer

	dir    string
	kube   *kubesim.Sim // the provider needs an API server, and does not call it
	conn   *grpc.ClientConn
	cmd    *exec.Cmd
	log    bytes.Buffer // read it only after the process has ended
	mounts int
}

func startTester(ctx context.Context, o options, i *identity, p plan, a *account, out io.Writer) (*tester, error) {
	t := &tester{plan: p, identity: i, account: a, out: out}
	var err error
	if t.dir, err = os.MkdirTemp("", "smoke"); err != nil {
		return nil, err
	}
	t.kube = kubesim.Start(0)
	kubeconfig := filepath.Join(t.dir, "kubeconfig")
	if err := t.kube.WriteKubeconfig(kubeconfig); err != nil {
		return nil, errors.Join(err, t.close())
	}
	t.cmd = exec.CommandContext(context.WithoutCancel(ctx), o.provider, // close stops it
		"--provider-volume="+t.dir, "--admin-address=", "--kubeconfig="+kubeconfig, "--refresh-interval=1s", "-v=4")
	t.cmd.Env = append(environment(), "AWS_REGION="+o.region)
	if i.stsURL != "" {
		t.cmd.Env = append(t.cmd.Env, "AWS_ENDPOINT_URL_STS="+i.stsURL)
	}
	t.cmd.Stderr = &t.log
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches only awssmoke, which then deletes everything
	if err := t.cmd.Start(); err != nil {
		t.cmd = nil
		return nil, errors.Join(fmt.Errorf("start the provider: %w (make build)", err), t.close())
	}
	if t.conn, err = csidriver.Dial(filepath.Join(t.dir, "aws.sock")); err != nil {
		return nil, errors.Join(err, t.close())
	}
	return t, nil
}

// environment is the part of the environment that says where AWS is, without any credentials.
func environment() []string {
	var kept []string
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		switch upper := strings.ToUpper(name); {
		case strings.HasPrefix(upper, "AWS_ENDPOINT_URL"), strings.HasSuffix(upper, "_PROXY"),
			upper == "AWS_CA_BUNDLE", upper == "AWS_USE_FIPS_ENDPOINT", upper == "AWS_USE_DUALSTACK_ENDPOINT":
			kept = append(kept, v)
		}
	}
	return kept
}

// close stops the provider and removes its folder.
func (t *tester) close() error {
	var err error
	if t.conn != nil {
		_ = t.conn.Close()
	}
	if t.cmd != nil {
		_ = t.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		if ended := t.cmd.Wait(); ended != nil {
			err = fmt.Errorf("the provider ended with %w: %s", ended, t.log.String())
		}
	}
	t.kube.Close()
	return errors.Join(err, os.RemoveAll(t.dir))
}

// volume is the volume of a new pod with these objects.
func (t *tester) volume(objects string) csidriver.Volume {
	t.mounts++
	uid := t.identity.podUID
	if uid == "" {
		uid = fmt.Sprintf("smoke-%d", t.mounts)
	}
	return csidriver.Volume{
		Namespace: t.identity.namespace, ServiceAccount: t.identity.serviceAccount, Pod: fmt.Sprintf("smoke-%d", t.mounts), PodUID: uid,
		Class:      fmt.Sprintf("smoke-%d", t.mounts),
		Parameters: map[string]string{"objects": objects, "region": t.region, "roleArn": t.role},
		Tokens:     map[string]string{"sts.amazonaws.com": t.identity.token},
	}
}

// mount mounts a volume, a new one or again, and returns its files.
func (t *tester) mount(ctx context.Context, v csidriver.Volume) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute) // the kubelet's
	defer cancel()
	dir := filepath.Join(t.dir, v.Class)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := csidriver.Mount(ctx, t.conn, v, dir); err != nil {
		return nil, err
	}
	tree, err := csidriver.Tree(dir)
	files := map[string]string{}
	for path, file := range tree {
		files[path] = file.Content
	}
	return files, err
}

// wantFiles compares without a value in the error.
func wantFiles(files, want map[string]string) error {
	for path, content := range want {
		if got, found := files[path]; !found {
			return fmt.Errorf("there is no file %s", path)
		} else if got != content {
			return fmt.Errorf("file %s has another content, of %d bytes", path, len(got))
		}
	}
	if len(files) != len(want) {
		return fmt.Errorf("%d files, want %d", len(files), len(want))
	}
	return nil
}

// wantError checks the code and the text of a failed mount.
func wantError(err error, code codes.Code, texts ...string) error {
	if err == nil {
		return errors.New("the mount succeeded")
	}
	if status.Code(err) != code {
		return fmt.Errorf("the code is %s, want %s: %w", status.Code(err), code, err)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			return fmt.Errorf("the message lacks %q: %w", text, err)
		}
	}
	return nil
}
