package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/kubesim"
)

// The provider's flags: a tenth of what it does on a node, so that a run takes minutes and not hours.
const (
	refreshInterval = 3 * time.Second
	maxStale        = 10 * time.Second
	mountTimeout    = 15 * time.Second
	// callTimeout is what the kubelet waits: twice the provider's time, as on a node.
	callTimeout = 2 * mountTimeout

	awsDelay  = 5 * time.Millisecond // of each call
	kubeDelay = time.Millisecond
)

// world is what surrounds the provider, and the provider.
type world struct {
	program string
	dir     string // of all files
	volume  string // the provider volume

	aws      *awssim.Sim
	kube     *kubesim.Sim
	issuer   *awssim.Issuer
	reads    *link // to Secrets Manager and Parameter Store
	sts, api *link

	awsJump, tokenJump atomic.Int64 // of the clocks, ns

	ledger   *ledger
	troubles *troubles
	onCrash  func(error)

	mu       sync.Mutex
	running  *process // the one that should serve
	leaving  []*process
	started  int
	deniedBy map[string]bool // role → it has no permissions now

	epoch    atomic.Int64 // changes with the process that answers
	unstable atomic.Int32 // > 0 while two processes may answer
}

// newWorld starts all but the provider.
func newWorld(program, dir string, onCrash func(error)) (*world, error) {
	w := &world{
		program: program, dir: dir, volume: filepath.Join(dir, "volume"), onCrash: onCrash,
		ledger: newLedger(), troubles: newTroubles(), deniedBy: map[string]bool{},
	}
	var err error
	w.aws, err = awssim.Start(awssim.Config{
		TLS: true, HTTP1: true, Delay: awsDelay, PodIdentityListen: "-",
		Clock: func() time.Time { return time.Now().Add(time.Duration(w.awsJump.Load())) },
	})
	if err != nil {
		return nil, err
	}
	w.kube = kubesim.Start(kubeDelay)
	if err := w.furnish(); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// furnish makes the identities, their objects, and the network.
func (w *world) furnish() error {
	var err error
	if w.issuer, err = w.aws.NewIssuer(); err != nil {
		return err
	}
	for _, id := range identities {
		annotations := map[string]string{}
		if !id.roleInClass {
			annotations["eks.amazonaws.com/role-arn"] = id.roleARN()
		}
		w.kube.SetServiceAccount(id.namespace, id.serviceAccount, annotations)
		if err := w.setRole(id.role, true); err != nil {
			return err
		}
	}
	for _, o := range objects() {
		w.rotate(o)
	}
	_, awsAddress, _ := strings.Cut(w.aws.URL(), "://")
	_, apiAddress, _ := strings.Cut(w.kube.URL(), "://")
	for _, l := range []struct {
		to     **link
		server string
	}{{&w.reads, awsAddress}, {&w.sts, awsAddress}, {&w.api, apiAddress}} {
		if *l.to, err = newLink(l.server); err != nil {
			return err
		}
	}
	const kubeconfig = `apiVersion: v1
kind: Config
current-context: sim
clusters: [{name: sim, cluster: {server: "http://%s"}}]
users: [{name: sim, user: {token: sim}}]
contexts: [{name: sim, context: {cluster: sim, user: sim}}]
`
	return errors.Join(
		os.WriteFile(w.file("kubeconfig"), fmt.Appendf(nil, kubeconfig, w.api.address()), 0o600),
		w.aws.WriteCA(w.file("ca.pem")),
	)
}

func (w *world) file(name string) string { return filepath.Join(w.dir, name) }

func (w *world) close() {
	w.mu.Lock()
	left := append([]*process{w.running}, w.leaving...)
	w.mu.Unlock()
	for _, p := range left {
		if p != nil {
			p.kill()
		}
	}
	for _, l := range []*link{w.reads, w.sts, w.api} {
		if l != nil {
			l.close()
		}
	}
	w.kube.Close()
	w.aws.Close()
}

// setRole gives the role its permissions, or takes them. All ServiceAccounts that name it may assume it.
func (w *world) setRole(role string, allowed bool) error {
	var subjects, resources []string
	for _, id := range identities {
		if id.role == role {
			subjects = append(subjects, fmt.Sprintf("%q", "system:serviceaccount:"+id.namespace+":"+id.serviceAccount))
			resources = append(resources,
				fmt.Sprintf("%q", "arn:aws:secretsmanager:*:*:secret:"+id.name()+"/*"), fmt.Sprintf("%q", "arn:aws:ssm:*:*:parameter/"+id.name()+"/*"))
		}
	}
	trust := fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":%q},"Action":"sts:AssumeRoleWithWebIdentity",
		"Condition":{"StringEquals":{%q:[%s],%q:%q}}}]}`, w.issuer.ProviderARN(), w.issuer.ConditionKey("sub"), strings.Join(subjects, ","), w.issuer.ConditionKey("aud"), audience)
	r := awssim.Role{Name: role, TrustPolicy: awssim.Document(trust)}
	if allowed {
		r.Policies = []awssim.Document{awssim.Document(fmt.Sprintf(
			`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["secretsmanager:GetSecretValue","ssm:GetParameters"],"Resource":[%s]}]}`, strings.Join(resources, ",")))}
	}
	return w.aws.SetRole(r)
}

// deny takes the permissions of an identity's role, and enters that in the ledger.
func (w *world) deny(identity int) error {
	role := identities[identity].role
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deniedBy[role] = true
	if err := w.setRole(role, false); err != nil {
		return err
	}
	w.eachPlace(role, func(p place) { w.ledger.deny(p, time.Now()) })
	return nil
}

// allow gives them back.
func (w *world) allow(identity int) error {
	role := identities[identity].role
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deniedBy[role] = false
	w.eachPlace(role, func(p place) { w.ledger.allow(p, time.Now()) })
	return w.setRole(role, true)
}

func (w *world) eachPlace(role string, do func(place)) {
	for _, o := range objects() {
		if identities[o.identity].role == role {
			do(place{region, o.name})
			do(place{failoverRegion, o.name})
		}
	}
}

// rotate gives an object a new value in both regions. One that nobody may read keeps its own.
func (w *world) rotate(o object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deniedBy[identities[o.identity].role] {
		return
	}
	for _, in := range []string{region, failoverRegion} {
		p := place{in, o.name}
		text := content(p, w.ledger.begin(p, time.Now()))
		if o.parameter {
			w.aws.PutParameter(in, o.name, text)
		} else {
			w.aws.PutSecret(in, o.name, text)
		}
		w.ledger.end(p, time.Now())
	}
}

// start has a new provider serve.
func (w *world) start(ctx context.Context) error {
	p, err := w.launch(ctx)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running = p
	w.epoch.Add(1)
	return nil
}

// launch starts one more provider on the volume.
func (w *world) launch(ctx context.Context) (*process, error) {
	w.mu.Lock()
	w.started++
	log := w.file(fmt.Sprintf("provider-%d.log", w.started))
	w.mu.Unlock()
	flags := []string{
		"--kubeconfig=" + w.file("kubeconfig"), "--qps=1000", "--burst=1000",
		"--refresh-interval=" + refreshInterval.String(), "--max-stale=" + maxStale.String(), "--mount-timeout=" + mountTimeout.String(),
	}
	env := []string{
		"AWS_ENDPOINT_URL=https://" + w.reads.address(), "AWS_ENDPOINT_URL_STS=https://" + w.sts.address(), "AWS_CA_BUNDLE=" + w.file("ca.pem"),
		"AWS_REGION=" + region, "AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull, "GOMEMLIMIT=80MiB", // as in a container of 128 MiB
	}
	return startProcess(ctx, w.program, w.volume, log, flags, env, w.onCrash)
}

// current is the provider that should serve.
func (w *world) current() *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running
}

// leave has a process end in its own time. Until then two may answer.
func (w *world) leave(p *process, then func()) {
	w.mu.Lock()
	w.leaving = append(w.leaving, p)
	w.mu.Unlock()
	w.unstable.Add(1)
	w.epoch.Add(1)
	p.terminate()
	go func() {
		<-p.ended
		w.epoch.Add(1)
		w.unstable.Add(-1)
		then()
	}()
}

// answering names the process that answers: equal where it is the same one, and 0 where that cannot be told.
func (w *world) answering() int64 {
	if w.unstable.Load() > 0 {
		return 0
	}
	return w.epoch.Load()
}

// end ends all providers as the kubelet does, and says which ended badly.
func (w *world) end() error {
	w.mu.Lock()
	all := append([]*process{w.running}, w.leaving...)
	w.mu.Unlock()
	all[0].terminate()
	var errs []error
	for _, p := range all {
		errs = append(errs, p.wait())
	}
	return errors.Join(errs...)
}
