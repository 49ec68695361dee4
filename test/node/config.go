package node

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Config configures a node. The zero value is a working node.
type Config struct {
	// Home is the folder of the cached programs, the logs and the running node.
	// Empty: $NODE_HOME, else secrets-provider-aws/node in the user's cache folder.
	Home string
	// Region is the node's label topology.kubernetes.io/region. Empty: eu-west-1.
	Region string
	// RotationPollInterval is the driver's flag of that name. Zero: 2 s.
	RotationPollInterval time.Duration
	// SyncFrequency is how often the kubelet syncs each pod, and so how often it republishes volumes. Zero: 2 s.
	SyncFrequency time.Duration
	// Logf receives a line for each step. Nil: no output.
	Logf func(format string, args ...any)
}

// withDefaults sets the fields that are zero.
func (c Config) withDefaults() (Config, error) {
	c.Home = cmp.Or(c.Home, os.Getenv("NODE_HOME"))
	if c.Home == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return c, fmt.Errorf("no folder for the node: set NODE_HOME: %w", err)
		}
		c.Home = filepath.Join(cache, "secrets-provider-aws", "node")
	}
	home, err := filepath.Abs(c.Home)
	if err != nil {
		return c, err
	}
	c.Home = home
	for _, hidden := range boxFolders {
		if strings.HasPrefix(home+"/", hidden+"/") {
			return c, fmt.Errorf("NODE_HOME=%s: the node has its own %s, and could not see its programs there", home, hidden)
		}
	}
	c.Region = cmp.Or(c.Region, "eu-west-1")
	c.RotationPollInterval = cmp.Or(c.RotationPollInterval, 2*time.Second)
	c.SyncFrequency = cmp.Or(c.SyncFrequency, 2*time.Second)
	if c.Logf == nil {
		c.Logf = func(string, ...any) {}
	}
	return c, nil
}

// layout gives the paths below Config.Home.
type layout string

func (l layout) cache(elem ...string) string {
	return filepath.Join(string(l), "cache", filepath.Join(elem...))
}
func (l layout) logs(elem ...string) string {
	return filepath.Join(string(l), "logs", filepath.Join(elem...))
}

// run is the folder of a running node. It is removed with the node.
func (l layout) run(elem ...string) string {
	return filepath.Join(string(l), "run", filepath.Join(elem...))
}

// Names and addresses of the node. Those that must be unique on the host contain a number derived from Config.Home.
const (
	nodeName           = "node1"
	serviceCIDR        = "10.96.0.0/16"
	kubernetesService  = "10.96.0.1" // always the first address of serviceCIDR
	driverName         = "secrets-store.csi.k8s.io"
	containerdSocket   = "/run/containerd/containerd.sock"
	podIdentityAddress = "169.254.170.23" // EKS's Pod Identity agent; fixed in every AWS SDK
	cgroupPrefix       = "secrets-provider-node-"
	linkPrefix         = "spn"
)

// id distinguishes nodes of different homes on one host, so that none cleans up another one's resources.
func (l layout) id() string {
	sum := sha256.Sum256([]byte(l))
	return hex.EncodeToString(sum[:4])
}

// number selects the node's networks. If two homes get the same number, the second node refuses to start.
func (l layout) number() byte { return sha256.Sum256([]byte(l))[0] }

func (l layout) cgroup() string      { return cgroupPrefix + l.id() }
func (l layout) hostLink() string    { return linkPrefix + l.id() + "h" } // a name has at most 15 characters
func (l layout) boxLink() string     { return linkPrefix + l.id() + "n" }
func (l layout) hostAddress() string { return fmt.Sprintf("10.98.%d.1", l.number()) }
func (l layout) nodeAddress() string { return fmt.Sprintf("10.98.%d.2", l.number()) }
func (l layout) podCIDR() string     { return fmt.Sprintf("10.244.%d.0/24", l.number()) }
func (l layout) apiServer() string   { return "https://" + l.nodeAddress() }

// PreconditionError means that this machine cannot run a node, or not now. Each reason is one line and names the fix.
type PreconditionError struct{ Reasons []string }

func (e *PreconditionError) Error() string { return strings.Join(e.Reasons, "\n") }

// ErrInUse means that a node is already running. Up returns it, and Down returns it if the node belongs to another running process.
var ErrInUse = errors.New("a node is already running")
