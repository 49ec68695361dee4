package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// tools holds the cached folders of the programs and images that the node runs.
type tools struct {
	kubernetesDir, driverDir, imagesDir string
}

func (t tools) kubernetes(program string) string { return filepath.Join(t.kubernetesDir, program) }
func (t tools) image(name string) string         { return filepath.Join(t.imagesDir, name+".tar") }

// manifests is the folder of the driver's own manifests, from its module.
func (t tools) manifests() string { return filepath.Join(t.driverDir, "deploy") }

// module is one Go module and the programs to build from it.
type module struct {
	name     string            // of the cached folder
	dir      string            // the module's folder, from the tree's root
	packages []string          // the main packages
	version  string            // module with the version to stamp into the programs
	stamp    []string          // the variables that hold that version
	renames  map[string]string // programs with another name on the node: go build's name → ours
	sources  []string          // more source files and folders, in addition to go.mod and go.sum
}

var (
	kubernetesModule = module{
		name: "kubernetes", dir: "test/node/modules/kubernetes",
		packages: []string{
			"go.etcd.io/etcd/server/v3", "k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes/cmd/kube-controller-manager",
			"k8s.io/kubernetes/cmd/kube-scheduler", "k8s.io/kubernetes/cmd/kubectl", "k8s.io/kubernetes/cmd/kubelet",
		},
		// Charts compare their kubeVersion with this version.
		version: "k8s.io/kubernetes", stamp: []string{"k8s.io/component-base/version.gitVersion", "k8s.io/client-go/pkg/version.gitVersion"},
		renames: map[string]string{"server": "etcd"},
	}
	driverModule = module{
		name: "driver", dir: "test/node/modules/driver",
		packages: []string{"sigs.k8s.io/secrets-store-csi-driver/cmd/secrets-store-csi-driver", "./registrar", "./liveness"},
		version:  "sigs.k8s.io/secrets-store-csi-driver", stamp: []string{"sigs.k8s.io/secrets-store-csi-driver/pkg/version.BuildVersion"},
		sources: []string{"mlog", "registrar", "liveness"},
	}
	helmModule = module{
		name: "helm", dir: ".ci/helm", packages: []string{"helm.sh/helm/v4/cmd/helm"},
		version: "helm.sh/helm/v4", stamp: []string{"helm.sh/helm/v4/internal/version.version"},
	}
	workloadModule = module{name: "workload", dir: "test/node", packages: []string{"./pause", "./testapp"}, sources: []string{"pause", "testapp"}}
)

// Build builds every program and image of the node and its tests that is not cached. A cold build takes minutes and 5 GiB, mostly
// for Go's build cache. If it is killed, the next build continues from there.
func Build(ctx context.Context, cfg Config) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	if err := prepare(ctx, cfg); err != nil {
		return err
	}
	if _, err = build(ctx, cfg); err != nil {
		return err
	}
	_, err = HelmPath(ctx, cfg)
	return err
}

// HelmPath builds helm if it is not cached, and returns its path. It needs neither root nor a node.
func HelmPath(ctx context.Context, cfg Config) (string, error) {
	b, done, err := newBuilder(ctx, cfg)
	if err != nil {
		return "", err
	}
	defer done()
	dir, err := b.module(ctx, helmModule)
	return filepath.Join(dir, "helm"), err
}

func build(ctx context.Context, cfg Config) (tools, error) {
	b, done, err := newBuilder(ctx, cfg)
	if err != nil {
		return tools{}, err
	}
	defer done()
	var t tools
	if t.kubernetesDir, err = b.module(ctx, kubernetesModule); err != nil {
		return tools{}, err
	}
	if t.driverDir, err = b.module(ctx, driverModule); err != nil {
		return tools{}, err
	}
	workload, err := b.module(ctx, workloadModule)
	if err != nil {
		return tools{}, err
	}
	t.imagesDir, err = b.images(t.kubernetesDir, t.driverDir, workload)
	return t, err
}

// builder fills the cache. Only one runs at a time: a second one waits, then finds everything built.
type builder struct {
	cfg    Config
	layout layout
	root   string // of the tree
	goSays string // version of the toolchain
}

func newBuilder(ctx context.Context, cfg Config) (*builder, func(), error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, nil, err
	}
	b := &builder{cfg: cfg, layout: layout(cfg.Home)}
	dir, err := output(exec.CommandContext(ctx, "go", "list", "-f", "{{.Module.Dir}}", "secrets-provider-aws/test/node"))
	if err != nil {
		return nil, nil, fmt.Errorf("the node can only be built inside a checkout of this module: %w", err)
	}
	version, err := output(exec.CommandContext(ctx, "go", "env", "GOVERSION"))
	if err != nil {
		return nil, nil, err
	}
	b.root, b.goSays = strings.TrimSpace(dir), strings.TrimSpace(version)
	if err := os.MkdirAll(b.layout.logs(), 0o755); err != nil {
		return nil, nil, err
	}
	unlock, err := lock(b.layout.cache("lock"), func() { cfg.Logf("waiting for another build in %s", b.layout.cache()) })
	return b, unlock, err
}

// module builds a module's programs and returns their folder.
func (b *builder) module(ctx context.Context, m module) (string, error) {
	dir := filepath.Join(b.root, m.dir)
	inputs := m.sources
	if m.version != "" { // a separate module
		inputs = append([]string{"go.mod", "go.sum"}, m.sources...)
	}
	key, err := hashFiles(dir, inputs, b.goSays, runtime.GOARCH, fmt.Sprint(m))
	if err != nil {
		return "", err
	}
	return b.once(m.name, key, func(tmp string) error {
		ldflags := "-s -w"
		if m.version != "" {
			version, err := b.goCommand(ctx, m, "list", "-m", "-f", "{{.Version}}", m.version)
			if err != nil {
				return err
			}
			for _, variable := range m.stamp {
				ldflags += " -X " + variable + "=" + strings.TrimSpace(version)
			}
		}
		arguments := []string{"build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=" + ldflags, "-o", tmp + "/"}
		if _, err := b.goCommand(ctx, m, append(arguments, m.packages...)...); err != nil {
			return err
		}
		for from, to := range m.renames {
			if err := os.Rename(filepath.Join(tmp, from), filepath.Join(tmp, to)); err != nil {
				return err
			}
		}
		if m.name != driverModule.name {
			return nil
		}
		source, err := b.goCommand(ctx, m, "list", "-m", "-f", "{{.Dir}}", m.version)
		if err != nil {
			return err
		}
		return os.CopyFS(filepath.Join(tmp, "deploy"), os.DirFS(filepath.Join(strings.TrimSpace(source), "deploy")))
	})
}

// goCommand runs go in the module's folder with low priority, so that a developer can keep working.
func (b *builder) goCommand(ctx context.Context, m module, arguments ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "nice", append([]string{"go"}, arguments...)...)
	cmd.Dir = filepath.Join(b.root, m.dir)
	// An image has no libc. A developer's go.work would mix the modules' versions.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	// If the build is killed, go must stop too, or it would compete with the next build for minutes. The kernel sends the signal
	// when the thread that started the command ends.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	return output(cmd)
}

// once returns the cached folder of that name and key. If it does not exist, once fills a temporary folder and renames it, so a
// cached folder is always complete.
func (b *builder) once(name, key string, fill func(tmp string) error) (string, error) {
	dir := b.layout.cache(name + "-" + key)
	if _, err := os.Stat(dir); err == nil {
		now := time.Now()
		return dir, os.Chtimes(dir, now, now)
	}
	if err := b.prune(name); err != nil {
		return "", err
	}
	b.cfg.Logf("building %s", name)
	start := time.Now()
	tmp, err := os.MkdirTemp(b.layout.cache(), name+".tmp-")
	if err != nil {
		return "", err
	}
	if err := fill(tmp); err != nil {
		return "", errors.Join(fmt.Errorf("build of %s: %w", name, err), os.RemoveAll(tmp))
	}
	if err := errors.Join(os.Chmod(tmp, 0o755), os.Rename(tmp, dir)); err != nil {
		return "", err
	}
	b.cfg.Logf("built %s in %s", name, time.Since(start).Round(100*time.Millisecond))
	return dir, nil
}

// prune removes leftovers of killed builds, and folders that no checkout has used for two weeks.
func (b *builder) prune(name string) error {
	entries, err := os.ReadDir(b.layout.cache())
	if err != nil {
		return err
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return err
		}
		half := strings.HasPrefix(entry.Name(), name+".tmp-")
		old := strings.HasPrefix(entry.Name(), name+"-") && time.Since(info.ModTime()) > 14*24*time.Hour
		if half || old {
			if err := os.RemoveAll(b.layout.cache(entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// hashFiles returns a short key of the files, found below dir in a fixed order, and of other inputs.
func hashFiles(dir string, files []string, inputs ...string) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%q", inputs)
	for _, file := range files {
		err := filepath.WalkDir(filepath.Join(dir, file), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			relative, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			fmt.Fprintf(h, "%q%d:%s", relative, len(text), text)
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:12], nil
}
