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

// What all scenarios share.
const (
	region         = "eu-central-1"
	failoverRegion = "eu-west-1"
	namespace      = "bench"
	roleARN        = "arn:aws:iam::" + awssim.DefaultAccount + ":role/bench"
	audience       = "sts.amazonaws.com"
	nodeName       = "node-1"

	readSecrets = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["secretsmanager:GetSecretValue"],"Resource":"*"}]}`

	awsDelay  = 20 * time.Millisecond // of each call
	kubeDelay = 2 * time.Millisecond

	smallSecret = 64 // bytes
)

// lab is what one run of the benchmark works with.
type lab struct {
	options
	dir    string
	issuer *awssim.Issuer // signs the cluster's tokens; its keys are served by this process
	closer func()
	worlds int
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
	// Only the issuer of this one is used. AWS itself is another process.
	cluster, err := awssim.Start(awssim.Config{PodIdentityListen: "-"})
	if err != nil {
		return nil, err
	}
	l := &lab{options: o, closer: cluster.Close}
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
	_ = os.RemoveAll(l.dir) // a leftover of the temporary folder harms nobody
}

// pick is the full number, or the quick one with --quick.
func (l *lab) pick(full, quick int) int {
	if l.quick {
		return quick
	}
	return full
}

// world is what the provider meets in one scenario.
type world struct {
	*lab
	dir    string
	aws    *aws
	kube   *kubesim.Sim
	tokens map[string]string // ServiceAccount → token
	roles  map[string]string // ServiceAccount → role ARN; roleARN where it is not in it
	runs   int
	// realHosts has the provider reach AWS by its real host names, so that STS has regions too.
	realHosts bool
	failover  bool // the pods' classes name failoverRegion
}

// newWorld starts AWS and Kubernetes.
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

// serviceAccount makes the ServiceAccount and gives a token of it. Only the first call for each costs time.
func (w *world) serviceAccount(name string) (token string, err error) {
	if token, ok := w.tokens[name]; ok {
		return token, nil
	}
	w.kube.SetServiceAccount(namespace, name, map[string]string{"eks.amazonaws.com/role-arn": cmp.Or(w.roles[name], roleARN)})
	token, err = w.issuer.Token(awssim.Token{Namespace: namespace, ServiceAccount: name, Pod: name + "-pod", PodUID: "uid-of-" + name, Node: nodeName})
	w.tokens[name] = token
	return token, err
}

// ownRole gives a ServiceAccount that has no token yet a role of its own. The role may read all secrets too.
func (w *world) ownRole(ctx context.Context, serviceAccount string) error {
	w.roles[serviceAccount] = roleARN + "-" + serviceAccount
	return w.aws.setRole(ctx, awssim.Role{
		ARN: w.roles[serviceAccount], TrustPolicy: trustPolicy(w.issuer.URL()), Policies: []awssim.Document{readSecrets},
	})
}

// inWorld plays in a new world, which ends with play.
func (l *lab) inWorld(ctx context.Context, delay time.Duration, play func(*world) error, secrets ...secretSet) error {
	w, err := l.newWorld(ctx, delay, secrets...)
	if err != nil {
		return err
	}
	return errors.Join(play(w), w.end())
}

// withProvider starts the provider, plays, and stops it. Where that fails, the provider's log says more.
func (w *world) withProvider(ctx context.Context, play func(*provider) error, flags ...string) error {
	p, err := w.startProvider(ctx, flags...)
	if err != nil {
		return err
	}
	if err = play(p); err != nil {
		err = fmt.Errorf("%w%s", err, p.said())
	}
	return errors.Join(err, p.stop())
}

// withProviders is withProvider for so many of them, all of which have started when play is called.
func (w *world) withProviders(ctx context.Context, count int, play func([]*provider) error) (err error) {
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
	return play(all)
}
