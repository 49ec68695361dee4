package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/stats"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/csidriver"
)

// Of the kubelet, in a tenth of its time: the wait after a mount that failed, and between two republishes.
const (
	firstRetry     = 200 * time.Millisecond
	lastRetry      = 3 * time.Second
	leastRepublish = 300 * time.Millisecond
	mostRepublish  = 900 * time.Millisecond
)

// pod is a pod with one volume.
type pod struct {
	name     string
	identity int
	objects  []object
	steals   bool

	mounted atomic.Int64 // when the request was sent that mounted the volume last, ns since 1970; 0: never
}

// kubelet mounts volumes and republishes them.
type kubelet struct {
	world   *world
	judge   *judge
	drivers *drivers
	report  func(violation)
	pods    sync.WaitGroup

	mounts, refused, broken  atomic.Int64 // answers with files, errors of the provider, connections that broke
	strictFirst, strictAgain atomic.Int64 // mounts that only the narrow rules of first mounts, and of republishes, hold for
	longest                  atomic.Int64 // ns
}

func newPod(name string, identity int, steals bool) *pod {
	p := &pod{name: name, identity: identity, steals: steals, objects: objectsOf(identity)}
	if steals {
		p.objects = objectsOf(stranger(identity))[:1]
	}
	return p
}

// run is the life of a pod, until ctx ends. A call under way is waited for.
func (k *kubelet) run(ctx context.Context, p *pod, seed uint64) {
	k.pods.Go(func() {
		r := rand.New(rand.NewPCG(seed, uint64(len(p.name))))
		var mountedBy int64 // the process that mounted the volume last
		maybe := false      // a process may have mounted it although its answer got lost
		retry := firstRetry
		for ctx.Err() == nil {
			before := k.world.answering()
			c, err := k.call(context.WithoutCancel(ctx), p, func(after int64) ages {
				switch {
				case p.mounted.Load() == 0 && !maybe:
					return ages{first: true}
				case mountedBy != 0 && mountedBy == before && before == after:
					return ages{republish: true}
				default:
					return ages{first: true, republish: true}
				}
			})
			if err != nil {
				k.report(violation{ruleCrash, err.Error()})
				return
			}
			if c.err == nil {
				p.mounted.Store(c.sent.UnixNano())
				mountedBy = 0
				if before == k.world.answering() {
					mountedBy = before
				}
				retry = firstRetry
				wait(ctx, between(r, leastRepublish, mostRepublish))
				continue
			}
			maybe = maybe || !c.answered
			wait(ctx, retry)
			retry = min(2*retry, lastRetry)
		}
	})
}

// call mounts once, and holds the outcome against the rules.
func (k *kubelet) call(ctx context.Context, p *pod, agesWith func(after int64) ages) (call, error) {
	req, err := k.request(p)
	if err != nil {
		return call{}, err
	}
	c := call{pod: p.name, identity: p.identity, objects: p.objects, steals: p.steals, sent: time.Now()}
	c.resp, c.answered, c.err = k.drivers.mount(ctx, req)
	c.ended = time.Now()
	c.ages = agesWith(k.world.answering())
	c.outage = k.world.troubles.outage(c.sent, c.ended)
	c.torn = k.world.troubles.torn(c.sent, c.ended)
	switch {
	case c.err == nil:
		k.mounts.Add(1)
		if !c.outage && !c.ages.republish {
			k.strictFirst.Add(1)
		}
		if !c.ages.first {
			k.strictAgain.Add(1)
		}
	case c.answered:
		k.refused.Add(1)
	default:
		k.broken.Add(1)
	}
	for took := int64(c.ended.Sub(c.sent)); ; {
		longest := k.longest.Load()
		if took <= longest || k.longest.CompareAndSwap(longest, took) {
			break
		}
	}
	for _, v := range k.judge.judge(c) {
		k.report(v)
	}
	return c, nil
}

// request is what the driver sends for the pod, with a fresh token.
func (k *kubelet) request(p *pod) (*v1alpha1.MountRequest, error) {
	id := identities[p.identity]
	token, err := k.world.issuer.Token(awssim.Token{
		Namespace: id.namespace, ServiceAccount: id.serviceAccount, Pod: p.name, PodUID: "uid-of-" + p.name, Node: nodeName,
		IssuedAt: time.Now().Add(time.Duration(k.world.tokenJump.Load())),
	})
	if err != nil {
		return nil, err
	}
	var entries strings.Builder
	for _, o := range p.objects {
		entries.WriteString(o.entry())
	}
	parameters := map[string]string{"region": region, "objects": entries.String()}
	if id.failover {
		parameters["failoverRegion"] = failoverRegion
	}
	if id.roleInClass {
		parameters["roleArn"] = id.roleARN()
	}
	return csidriver.Volume{
		Namespace: id.namespace, ServiceAccount: id.serviceAccount, Pod: p.name, PodUID: "uid-of-" + p.name, Class: "chaos",
		Parameters: parameters, Tokens: map[string]string{audience: token},
	}.Request()
}

// connections is how many the drivers have at a time. The driver has one; more of them, of several ages, meet
// what befalls the socket too.
const connections = 3

// drivers are connections to the provider's socket as the driver has one. They do not retry by themselves: what
// a server answers is visible.
type drivers struct {
	socket string

	mu    sync.Mutex
	conns []*driver
	next  int
}

type driver struct {
	conn  *grpc.ClientConn
	calls sync.WaitGroup
}

func newDrivers(socket string) (*drivers, error) {
	d := &drivers{socket: socket}
	return d, d.renew()
}

// renew makes a new connection, and closes the oldest where there are enough.
func (d *drivers) renew() error {
	conn, err := csidriver.Dial(d.socket, grpc.WithDisableRetry(), grpc.WithStatsHandler(listener{}))
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.conns = append(d.conns, &driver{conn: conn})
	if len(d.conns) > connections {
		d.retire(d.conns[0])
		d.conns = d.conns[1:]
	}
	return nil
}

// keepOne leaves the newest connection alone, and waits until the others have ended.
func (d *drivers) keepOne() {
	d.mu.Lock()
	old := d.conns[:len(d.conns)-1]
	d.conns = d.conns[len(d.conns)-1:]
	d.mu.Unlock()
	for _, o := range old {
		o.calls.Wait()
		_ = o.conn.Close()
	}
}

// close ends all connections.
func (d *drivers) close() {
	d.keepOne()
	_ = d.conns[0].conn.Close()
}

func (d *drivers) retire(old *driver) {
	go func() {
		old.calls.Wait()
		_ = old.conn.Close()
	}()
}

// mount calls the provider. answered says that an error is a server's.
func (d *drivers) mount(ctx context.Context, req *v1alpha1.MountRequest) (resp *v1alpha1.MountResponse, answered bool, err error) {
	d.mu.Lock()
	d.next++
	use := d.conns[d.next%len(d.conns)]
	use.calls.Add(1)
	d.mu.Unlock()
	defer use.calls.Done()
	seen := &atomic.Bool{}
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, seenKey{}, seen), callTimeout)
	defer cancel()
	resp, err = v1alpha1.NewCSIDriverProviderClient(use.conn).Mount(ctx, req)
	return resp, seen.Load(), err
}

type seenKey struct{}

// listener notes whether a server has answered the last attempt of a call: its trailer has come. An error that
// the client makes of a broken connection has none.
type listener struct{}

func (listener) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (listener) HandleRPC(ctx context.Context, s stats.RPCStats) {
	seen, ok := ctx.Value(seenKey{}).(*atomic.Bool)
	if !ok {
		return
	}
	switch s.(type) {
	case *stats.Begin:
		seen.Store(false)
	case *stats.InTrailer:
		seen.Store(true)
	}
}

func (listener) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (listener) HandleConn(context.Context, stats.ConnStats) {}

// podName is the name of pod i of a step.
func podName(step, i int) string { return fmt.Sprintf("pod-%d-%d", step, i) }
