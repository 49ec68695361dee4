package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"secrets-provider-aws/test/awssim"
)

// awsCommand is the argument with which this program runs AWS for itself.
const awsCommand = "aws"

// awsConfig is what AWS starts with. It comes as JSON on the standard input, which AWS outlives by nothing:
// however the benchmark ends, no simulator stays behind.
type awsConfig struct {
	Delay   time.Duration
	Issuer  string // whose tokens STS believes
	CAFile  string // to write
	Secrets []secretSet
}

// secretSet is a number of secrets of one size.
type secretSet struct {
	Prefix string // secret number i is Prefix/i
	Count  int
	Bytes  int
	Both   bool // failoverRegion has them too
}

func (s secretSet) name(i int) string { return fmt.Sprintf("%s/%d", s.Prefix, i) }

// names of the secrets from the first on.
func (s secretSet) names(first, count int) []string {
	out := make([]string, count)
	for i := range out {
		out[i] = s.name(first + i)
	}
	return out
}

// runAWS is the simulator's process: it serves until in ends.
func runAWS(in io.Reader, out io.Writer) error {
	decoder := json.NewDecoder(in)
	var cfg awsConfig
	if err := decoder.Decode(&cfg); err != nil {
		return fmt.Errorf("read the configuration of AWS: %w", err)
	}
	sim, err := awssim.Start(awssim.Config{
		TLS: true, HTTP1: true, Delay: cfg.Delay, PodIdentityListen: "-",
		State: awssim.State{
			OIDCProviders: []awssim.OIDCProvider{{Issuer: cfg.Issuer}},
			Roles:         []awssim.Role{{ARN: roleARN, TrustPolicy: trustPolicy(cfg.Issuer), Policies: []awssim.Document{readSecrets}}},
		},
	})
	if err != nil {
		return err
	}
	defer sim.Close()
	for _, set := range cfg.Secrets {
		for i := range set.Count {
			sim.PutSecret(region, set.name(i), secretValue(set.Bytes))
			if set.Both {
				sim.PutSecret(failoverRegion, set.name(i), secretValue(set.Bytes))
			}
		}
	}
	if err := sim.WriteCA(cfg.CAFile); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, sim.URL()); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, in)
	return err
}

// secretValue is what such a secret holds: JSON, as most do.
func secretValue(size int) string {
	const shell = `{"user":"app","password":""}`
	return shell[:len(shell)-2] + strings.Repeat("x", max(size-len(shell), 8)) + shell[len(shell)-2:]
}

// trustPolicy lets in every ServiceAccount of the namespace.
func trustPolicy(issuer string) awssim.Document {
	name := strings.TrimPrefix(issuer, "http://")
	return awssim.Document(fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
		"Principal":{"Federated":"arn:aws:iam::%s:oidc-provider/%s"},"Action":"sts:AssumeRoleWithWebIdentity",
		"Condition":{"StringLike":{"%s:sub":"system:serviceaccount:%s:*"},"StringEquals":{"%s:aud":"%s"}}}]}`,
		awssim.DefaultAccount, name, name, namespace, name, audience))
}

// aws is the simulator, seen from the benchmark.
type aws struct {
	url      string
	ca       []byte
	pid      int
	admin    awssim.Admin
	requests atomic.Int64 // to admin: each is a connection
	stop     func() error
}

// startAWS starts the simulator in a process of its own.
func startAWS(ctx context.Context, cfg awsConfig) (*aws, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), self, awsCommand) // the end of its input ends it
	cmd.Env = append(os.Environ(), "GOGC=400")                               // it shares the cores with what is measured
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start AWS: %w", err)
	}
	a := &aws{pid: cmd.Process.Pid, stop: func() error { return errors.Join(in.Close(), cmd.Wait()) }}
	err = json.NewEncoder(in).Encode(cfg)
	if err == nil {
		a.url, err = bufio.NewReader(out).ReadString('\n')
	}
	if err == nil {
		a.url = strings.TrimSpace(a.url)
		a.ca, err = os.ReadFile(cfg.CAFile)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start AWS: %w", err), a.stop())
	}
	a.admin = awssim.Admin{URL: a.url, CA: a.ca}
	return a, nil
}

// awsCount is what AWS has seen of its clients.
type awsCount struct {
	sts, reads, connections int
}

func (c awsCount) since(before awsCount) awsCount {
	return awsCount{c.sts - before.sts, c.reads - before.reads, c.connections - before.connections}
}

func (a *aws) count(ctx context.Context) (awsCount, error) {
	a.requests.Add(2)
	calls, err := a.admin.Calls(ctx)
	if err != nil {
		return awsCount{}, err
	}
	_, connections, err := a.admin.Connections(ctx)
	return awsCount{
		sts:         calls.Counts[opAssumeRole],
		reads:       calls.Counts[opRead],
		connections: connections - int(a.requests.Load()),
	}, err
}

// Operations as awssim counts them.
const (
	opAssumeRole = "sts:AssumeRoleWithWebIdentity"
	opRead       = "secretsmanager:GetSecretValue"
)

// outcome is how the calls of an operation ended.
type outcome struct {
	granted, throttled int
}

// outcomes of all calls so far, by operation.
func (a *aws) outcomes(ctx context.Context) (map[string]outcome, error) {
	a.requests.Add(1)
	calls, err := a.admin.Calls(ctx)
	out := map[string]outcome{}
	for _, c := range calls.Log {
		operation := c.Service + ":" + c.Operation
		o := out[operation]
		switch {
		case c.Status == http.StatusOK:
			o.granted++
		case strings.HasPrefix(c.Code, "Throttling"): // STS leaves out the Exception
			o.throttled++
		}
		out[operation] = o
	}
	return out, err
}

func (a *aws) forgetCalls(ctx context.Context) error {
	a.requests.Add(1)
	return a.admin.Reset(ctx)
}

// inject makes AWS fail from now on.
func (a *aws) inject(ctx context.Context, f awssim.Fault) error {
	a.requests.Add(1)
	_, err := a.admin.Inject(ctx, f)
	return err
}

func (a *aws) putSecret(ctx context.Context, name, value string) error {
	a.requests.Add(1)
	return a.admin.PutSecret(ctx, region, name, value)
}

func (a *aws) setRole(ctx context.Context, r awssim.Role) error {
	a.requests.Add(1)
	return a.admin.SetRole(ctx, r)
}

func (a *aws) setQuota(ctx context.Context, q awssim.Quota) error {
	a.requests.Add(1)
	return a.admin.SetQuota(ctx, q)
}
