package node

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// packages maps a program or file that the node needs to its Debian package.
var packages = map[string]string{
	"containerd":          "containerd",
	"runc":                "runc",
	"ip":                  "iproute2",
	"nsenter":             "util-linux",
	"unshare":             "util-linux",
	"mount":               "mount",
	"/usr/lib/cni/bridge": "containernetworking-plugins",
	busybox:               "busybox-static",
}

const (
	gib         = 1 << 30
	coldDisk    = 8 * gib    // Go's build cache, downloaded modules, programs and a running node
	warmDisk    = 2 * gib    // a running node
	overlayType = 0x794c7630 // of statfs(2)
	writable    = 2          // of access(2)
)

// Check returns nil if Build and Up can work on this machine, and otherwise a PreconditionError with all reasons. It installs missing
// packages.
func Check(ctx context.Context, cfg Config) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	return prepare(ctx, cfg)
}

// prepare collects all reasons why this machine cannot run a node, and installs missing packages.
func prepare(ctx context.Context, cfg Config) error {
	var reasons []string
	refuse := func(format string, args ...any) { reasons = append(reasons, fmt.Sprintf(format, args...)) }
	if os.Geteuid() != 0 {
		refuse("the node needs root: it makes namespaces, cgroups and mounts")
	} else if err := exec.CommandContext(ctx, "unshare", "--mount", "--net", "true").Run(); err != nil {
		refuse("the node needs its own namespaces, and this machine refuses to create them (unshare --mount --net: %v)", err)
	}
	if g, err := findCgroup(layout(cfg.Home).cgroup()); err != nil {
		refuse("the node needs cgroups: %v", err)
	} else if err := syscall.Access(filepath.Dir(g.tracked), writable); err != nil {
		refuse("the node needs writable cgroups: %s: %v", filepath.Dir(g.tracked), err)
	}
	if _, err := exec.LookPath("go"); err != nil {
		refuse("the node needs the go command in PATH, to build its programs")
	}
	if err := os.MkdirAll(cfg.Home, 0o755); err != nil {
		refuse("the node needs its folder: %v (NODE_HOME names another one)", err)
	} else if free, want := freeDisk(cfg.Home), wantedDisk(cfg); free < want {
		refuse("the node needs %d GiB of free disk at %s, and %.1f are free (NODE_HOME names another place)", want/gib, cfg.Home, float64(free)/gib)
	}
	if err := installPackages(ctx, cfg); err != nil && os.Geteuid() == 0 {
		refuse("%v", err)
	}
	if len(reasons) > 0 {
		return &PreconditionError{reasons}
	}
	return nil
}

// installPackages installs the packages with a missing file.
func installPackages(ctx context.Context, cfg Config) error {
	var missing []string
	for thing, name := range packages {
		if _, err := exec.LookPath(thing); err != nil || thing == busybox && !isStatic(thing) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	missing = slices.Compact(missing)
	list := strings.Join(missing, " ")
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("the node needs %s, and there is no apt-get to install it", list)
	}
	cfg.Logf("installing %s", list)
	install := append([]string{"install", "--yes", "--no-install-recommends"}, missing...)
	for _, arguments := range [][]string{{"update"}, install} {
		cmd := exec.CommandContext(ctx, "apt-get", arguments...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if _, err := output(cmd); err != nil {
			lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
			return fmt.Errorf("the node needs %s, and apt-get cannot install it: %s", list, lines[len(lines)-1])
		}
	}
	return nil
}

// isStatic reports whether a program needs no shared libraries. The package busybox installs a dynamic one at the same path.
func isStatic(program string) bool {
	f, err := elf.Open(program)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	return !slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP })
}

func wantedDisk(cfg Config) uint64 {
	entries, err := os.ReadDir(layout(cfg.Home).cache())
	if err == nil && slices.ContainsFunc(entries, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), kubernetesModule.name+"-") }) {
		return warmDisk
	}
	return coldDisk
}

func freeDisk(path string) uint64 {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return 0
	}
	return s.Bavail * uint64(s.Bsize)
}

// isOverlay reports whether the folder is on an overlay file system, as in a container.
func isOverlay(path string) bool {
	var s syscall.Statfs_t
	return syscall.Statfs(path, &s) == nil && s.Type == overlayType
}

// checkAddresses refuses a host that already has one of the node's addresses. Up has already removed leftovers of this node.
func checkAddresses(ctx context.Context, l layout) error {
	addresses, err := output(exec.CommandContext(ctx, "ip", "-4", "-oneline", "addr"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(addresses) {
		fields := strings.Fields(line)
		if len(fields) > 3 && strings.HasPrefix(fields[3], strings.TrimSuffix(l.hostAddress(), "1")) {
			return &PreconditionError{[]string{fmt.Sprintf("the node needs the network of %s, but %s uses it (set another NODE_HOME to get another network)", l.hostAddress(), fields[1])}}
		}
	}
	return nil
}

// IsPrecondition reports whether the error means that the machine cannot run a node, and not that the node failed.
func IsPrecondition(err error) bool {
	var precondition *PreconditionError
	return errors.As(err, &precondition)
}
