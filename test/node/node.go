package node

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Node is a running node. Its methods may be called concurrently, but not during Reboot or Down.
type Node struct {
	cfg    Config
	layout layout
	cgroup cgroup
	tools  tools

	mu     sync.Mutex
	record *record
	client *http.Client
	token  string
}

// Up builds what is not cached, starts a node, and returns when pods can mount: the node is Ready and the driver is registered.
// First it removes leftovers of a dead run. The node belongs to this process. If the process exits without Down, the next Up or Down
// cleans up. If a node is already running, Up returns ErrInUse.
func Up(ctx context.Context, cfg Config) (*Node, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := prepare(ctx, cfg); err != nil {
		return nil, err
	}
	tools, err := build(ctx, cfg)
	if err != nil {
		return nil, err
	}
	n, err := newNode(cfg, tools)
	if err != nil {
		return nil, err
	}
	unlock, err := lock(n.layout.cache("node.lock"), func() { cfg.Logf("waiting for another command of %s", cfg.Home) })
	if err != nil {
		return nil, err
	}
	defer unlock()
	last, err := readRecord(n.layout)
	if err != nil {
		return nil, err
	}
	if running, owner := last.living(); running {
		return nil, inUse(n.layout, owner)
	}
	if err := clean(ctx, n.layout); err != nil {
		return nil, err
	}
	if err := n.up(ctx); err != nil {
		// Keep the logs, they are in another folder.
		return nil, errors.Join(err, clean(context.WithoutCancel(ctx), n.layout))
	}
	return n, nil
}

// Attach returns a node that another process started, even if that process still uses it.
func Attach(ctx context.Context, cfg Config) (*Node, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	r, err := readRecord(layout(cfg.Home))
	if err != nil {
		return nil, err
	}
	if running, _ := r.living(); !running || !r.Up {
		return nil, fmt.Errorf("no node is running in %s", cfg.Home)
	}
	tools, err := build(ctx, cfg)
	if err != nil {
		return nil, err
	}
	n, err := newNode(cfg, tools)
	if err != nil {
		return nil, err
	}
	n.record = r
	return n, nil
}

// Detach keeps the node running after this process exits, until Down.
func (n *Node) Detach() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.record.Owner = nil
	return n.record.write(n.layout)
}

// Down stops the node and removes everything that it created on the host, except its logs and the cache.
func (n *Node) Down(ctx context.Context) error { return Down(ctx, n.cfg, false) }

// Down stops the node of that home, in whatever state it is, and removes everything that it created on the host, except its logs and
// the cache. If the node belongs to another running process, Down returns ErrInUse, unless force is set.
func Down(ctx context.Context, cfg Config, force bool) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	l := layout(cfg.Home)
	unlock, err := lock(l.cache("node.lock"), func() { cfg.Logf("waiting for another command of %s", cfg.Home) })
	if err != nil {
		return err
	}
	defer unlock()
	r, err := readRecord(l)
	if err != nil && !force {
		return err
	}
	if running, owner := r.living(); running && owner != nil && owner.PID != os.Getpid() && !force {
		return inUse(l, owner)
	}
	return clean(ctx, l)
}

func inUse(l layout, owner *process) error {
	if owner == nil {
		return fmt.Errorf("%w in %s: stop it with the command down", ErrInUse, string(l))
	}
	return fmt.Errorf("%w in %s: it belongs to process %d", ErrInUse, string(l), owner.PID)
}

func newNode(cfg Config, tools tools) (*Node, error) {
	l := layout(cfg.Home)
	g, err := findCgroup(l.cgroup())
	if err != nil {
		return nil, err
	}
	owner, err := identify(os.Getpid())
	if err != nil {
		return nil, err
	}
	return &Node{cfg: cfg, layout: l, cgroup: g, tools: tools, record: &record{Boot: bootID(), Owner: &owner, Components: map[string]process{}}}, nil
}

func (n *Node) up(ctx context.Context) error {
	if err := checkAddresses(ctx, n.layout); err != nil {
		return err
	}
	for _, folder := range []string{n.layout.run("tmp"), n.layout.run("client"), n.layout.logs()} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	if err := n.record.write(n.layout); err != nil {
		return err
	}
	if err := removeLogs(n.layout); err != nil {
		return err
	}
	if err := writeIdentities(n.layout); err != nil {
		return err
	}
	if err := n.boot(ctx); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.record.Up = true
	return n.record.write(n.layout)
}

// boot starts everything. The node's disk may hold data of an earlier boot.
func (n *Node) boot(ctx context.Context) error {
	start := time.Now()
	step := func(what string) { n.cfg.Logf("%5.1fs %s", time.Since(start).Seconds(), what) }
	n.mu.Lock()
	n.record.Booted = start.Truncate(time.Second) // the precision of the API
	n.mu.Unlock()
	if err := n.openBox(ctx); err != nil {
		return err
	}
	step("the box is open")
	if err := errors.Join(n.startEtcd(), n.startAPIServer()); err != nil {
		return err
	}
	if err := n.startContainerd(ctx); err != nil {
		return err
	}
	for name := range nodeImages("", "") {
		if err := n.LoadImage(ctx, n.tools.image(name)); err != nil {
			return err
		}
	}
	step("containerd has its images")
	if err := n.waitAPIServer(ctx); err != nil {
		return err
	}
	step("the API server is ready")
	if err := errors.Join(n.startControllerManager(), n.startScheduler(), n.startKubelet()); err != nil {
		return err
	}
	if err := n.InstallDriver(ctx); err != nil {
		return err
	}
	step("the node is ready and the driver registered")
	return nil
}

// Reboot simulates a power loss. Every process dies at once, with all mounts and sockets, and the node starts again from its disk.
// Reboot returns when the driver is running again. The pods restart meanwhile. For WaitPodReady and WaitPodsReady, a pod is ready
// only if its containers started after the reboot.
func (n *Node) Reboot(ctx context.Context) error {
	n.mu.Lock()
	n.record.Components = map[string]process{}
	n.client = nil // drop its connections
	n.mu.Unlock()
	if err := powerOff(ctx, n.layout); err != nil {
		return err
	}
	if err := os.RemoveAll(n.layout.run("root/run")); err != nil { // /run does not survive a reboot
		return err
	}
	if err := n.boot(ctx); err != nil {
		return err
	}
	return n.WaitPodsReady(ctx, "kube-system", "app=csi-secrets-store", 1)
}

// clean removes everything that a node of that home has or left on the host.
func clean(ctx context.Context, l layout) error {
	if err := powerOff(ctx, l); err != nil {
		return err
	}
	mounts, err := readMounts("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for _, m := range mounts { // defensive: deleting through a mount would be worse than stopping here
		if strings.HasPrefix(m.Target, l.run()+"/") {
			return fmt.Errorf("%s is mounted, but not by the node", m.Target)
		}
	}
	return os.RemoveAll(l.run())
}

// powerOff kills all processes of the node. This also ends its namespaces, with their mounts, addresses and routes.
func powerOff(ctx context.Context, l layout) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	g, err := findCgroup(l.cgroup())
	if err != nil {
		return err
	}
	if err := g.remove(ctx); err != nil {
		return err
	}
	// The kernel removes the link with the network namespace, but takes its time.
	link := "/sys/class/net/" + l.hostLink()
	if _, err := os.Stat(link); err != nil {
		return nil
	}
	err = runCommand(exec.CommandContext(ctx, "ip", "link", "delete", l.hostLink()))
	if _, there := os.Stat(link); there != nil {
		return nil
	}
	return err
}
