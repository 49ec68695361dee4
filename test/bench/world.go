package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/kubesim"
)

// Settings that all scenarios share.
const (
	region         = "eu-central-1"
	failoverRegion = "eu-west-1"
	namespace      = "bench"
	roleARN        = "arn:aws:iam::" + awssim.DefaultAccount + ":role/bench"
	audience       = "sts.amazonaws.com"
	nodeName       = "node-1"

	readSecrets = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["secretsmanager:GetSecretValue"],"Resource":"*"}]}`

	awsDelay  = 20 * time.Millisecond // per call
	kubeDelay = 2 * time.Millisecond

	smallSecret = 64 // bytes
)

// lab holds what one run of the benchmark needs.
type lab struct {
	options
	dir    string
	issuer *awssim.Issuer // signs the cluster's tokens; this process serves its keys
	closer func()
	worlds int
	// collector gets the provider's traces. nil: there are none.
	collector *collector
}

func openLab(o options) (*lab, error) {
	path, err := filepath.Abs(o.provider)
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return nil, fmt.Errorf("find the provider (make build makes it): %w", err)
	}
	o.provider = path
	// Only the issuer of this simulator is used. AWS runs in another process.
	cluster, err := awssim.Start(awssim.Config{PodIdentityListen: "-"})
	if err != nil {
		return nil, err
	}
	l := &lab{options: o, closer: cluster.Close}
	if o.traces {
		l.collector = newCollector()
	}
	if l.issuer, err = cluster.NewIssuer(); err == nil {
		l.dir, err = os.MkdirTemp("", "bench-")
	}
	if err != nil {
		cluster.Close()
		return nil, err
	}
	return l, nil
}

func (l *lab) close() {
	l.closer()
	if l.collector != nil {
		l.collector.Close()
	}
	_ = os.RemoveAll(l.dir) // a leftover temporary folder does no harm
}

// pick returns full, or quick with --quick.
func (l *lab) pick(full, quick int) int {
	if l.quick {
		return quick
	}
	return full
}

// world is the environment of the provider in one scenario.
type world struct {
	*lab
	dir    string
	aws    *aws
	kube   *kubesim.Sim
	tokens map[string]string // ServiceAccount → token
	roles  map[string]string // ServiceAccount → role ARN; default: roleARN
	runs   int
	// realHosts makes the provider use AWS's real host names, so that STS has regions too.
	realHosts bool
	failover  bool // the pods' classes name failoverRegion
}

// newWorld starts AWS and the Kubernetes API.
func (l *lab) newWorld(ctx context.Context, delay time.Duration, secrets ...secretSet) (*world, error) {
	l.worlds++
	w := &world{lab: l, dir: filepath.Join(l.dir, fmt.Sprintf("world-%d", l.worlds)), tokens: map[string]string{}, roles: map[string]string{}}
	if err := os.Mkdir(w.dir, 0o700); err != nil {
		return nil, err
	}
	var err error
	w.aws, err = startAWS(ctx, awsConfig{Delay: delay, Issuer: l.issuer.URL(), CAFile: w.caFile(), Secrets: secrets})
	if err != nil {
		return nil, err
	}
	w.kube = kubesim.Start(kubeDelay)
	if err := w.kube.WriteKubeconfig(w.kubeconfig()); err != nil {
		return nil, errors.Join(err, w.end())
	}
	return w, nil
}

func (w *world) caFile() string     { return filepath.Join(w.dir, "ca.pem") }
func (w *world) kubeconfig() string { return filepath.Join(w.dir, "kubeconfig") }

func (w *world) end() error {
	w.kube.Close()
	return w.aws.stop()
}

// serviceAccount creates the ServiceAccount and returns a token of it. Later calls for the same name are cheap.
func (w *world) serviceAccount(name string) (token string, err error) {
	if token, ok := w.tokens[name]; ok {
		return token, nil
	}
	w.kube.SetServiceAccount(namespace, name, map[string]string{"eks.amazonaws.com/role-arn": cmp.Or(w.roles[name], roleARN)})
	token, err = w.issuer.Token(awssim.Token{Namespace: namespace, ServiceAccount: name, Pod: name + "-pod", PodUID: "uid-of-" + name, Node: nodeName})
	w.tokens[name] = token
	return token, err
}

// ownRole gives a ServiceAccount its own role. The role may also read all secrets. Call it before the ServiceAccount has a token.
func (w *world) ownRole(ctx context.Context, serviceAccount string) error {
	w.roles[serviceAccount] = roleARN + "-" + serviceAccount
	return w.aws.setRole(ctx, awssim.Role{
		ARN: w.roles[serviceAccount], TrustPolicy: trustPolicy(w.issuer.URL()), Policies: []awssim.Document{readSecrets},
	})
}

// inWorld runs run in a new world, and closes the world afterwards.
func (l *lab) inWorld(ctx context.Context, delay time.Duration, run func(*world) error, secrets ...secretSet) error {
	w, err := l.newWorld(ctx, delay, secrets...)
	if err != nil {
		return err
	}
	return errors.Join(run(w), w.end())
}

// withProvider starts the provider, runs run, and stops the provider. If run fails, the error contains the end of the provider's log.
func (w *world) withProvider(ctx context.Context, run func(*provider) error, flags ...string) error {
	p, err := w.startProvider(ctx, flags...)
	if err != nil {
		return err
	}
	if err = run(p); err != nil {
		err = fmt.Errorf("%w%s", err, p.logTail())
	}
	return errors.Join(err, p.stop())
}

// withProviders is like withProvider for count providers. All have started when it calls run.
func (w *world) withProviders(ctx context.Context, count int, run func([]*provider) error) (err error) {
	all := make([]*provider, 0, count)
	defer func() {
		for _, p := range all {
			err = errors.Join(err, p.stop())
		}
	}()
	for range count {
		p, err := w.startProvider(ctx)
		if err != nil {
			return err
		}
		all = append(all, p)
	}
	return run(all)
}
