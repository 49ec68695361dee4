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

// awsCommand is the argument with which this program starts itself as AWS.
const awsCommand = "aws"

// awsConfig configures the AWS process. It arrives as JSON on standard input. The process exits when that input closes, so a
// benchmark that crashes leaves no simulator behind.
type awsConfig struct {
	Delay   time.Duration
	Issuer  string // STS trusts this issuer's tokens
	CAFile  string // AWS writes its CA here
	Secrets []secretSet
}

// secretSet is a group of secrets of the same size.
type secretSet struct {
	Prefix string // secret number i is Prefix/i
	Count  int
	Bytes  int
	Both   bool // also create them in failoverRegion
}

func (s secretSet) name(i int) string { return fmt.Sprintf("%s/%d", s.Prefix, i) }

// names returns the names of count secrets, from number first on.
func (s secretSet) names(first, count int) []string {
	out := make([]string, count)
	for i := range out {
		out[i] = s.name(first + i)
	}
	return out
}

// runAWS runs the simulator in this process until in closes.
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

// secretValue returns JSON of about this size, since most secrets are JSON.
func secretValue(size int) string {
	const shell = `{"user":"app","password":""}`
	return shell[:len(shell)-2] + strings.Repeat("x", max(size-len(shell), 8)) + shell[len(shell)-2:]
}

// trustPolicy trusts every ServiceAccount of the namespace.
func trustPolicy(issuer string) awssim.Document {
	name := strings.TrimPrefix(issuer, "http://")
	return awssim.Document(fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow",
		"Principal":{"Federated":"arn:aws:iam::%s:oidc-provider/%s"},"Action":"sts:AssumeRoleWithWebIdentity",
		"Condition":{"StringLike":{"%s:sub":"system:serviceaccount:%s:*"},"StringEquals":{"%s:aud":"%s"}}}]}`,
		awssim.DefaultAccount, name, name, namespace, name, audience))
}

// aws is the benchmark's handle of the simulator process.
type aws struct {
	url      string
	ca       []byte
	pid      int
	admin    awssim.Admin
	requests atomic.Int64 // requests to admin; each is one connection
	stop     func() error
}

// startAWS starts the simulator in a separate process.
func startAWS(ctx context.Context, cfg awsConfig) (*aws, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), self, awsCommand) // closing its input stops it
	cmd.Env = append(os.Environ(), "GOGC=400")                               // it shares the cores with the program under test
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

// awsCount counts what clients did to AWS.
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

// outcome counts how the calls of an operation ended.
type outcome struct {
	granted, throttled int
}

// outcomes returns the outcome of all calls so far, by operation.
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
		case strings.HasPrefix(c.Code, "Throttling"): // STS omits the suffix Exception
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

// inject adds a fault to AWS.
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
