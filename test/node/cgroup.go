package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cgroup is the group that every process of the node is in: its programs in the child "system", the pods, by the kubelet, in "kubepods".
// A child process is a member by birth, so nothing that the node starts can leave by losing its parent.
type cgroup struct {
	folders []string // the group's folder in every hierarchy (one with cgroup v2, one for each controller with v1)
	tracked string   // the one of them that lists the members
}

// findCgroup returns the group of that name, which need not exist.
func findCgroup(name string) (cgroup, error) {
	mounts, err := readMounts("/proc/self/mountinfo")
	if err != nil {
		return cgroup{}, err
	}
	var g cgroup
	unified := ""
	for _, m := range mounts {
		switch m.FSType {
		case "cgroup":
			folder := filepath.Join(m.Target, name)
			g.folders = append(g.folders, folder)
			// Any hierarchy would do to list members; pids is one that the kubelet always uses.
			if strings.Contains(","+m.Options+",", ",pids,") {
				g.tracked = folder
			}
		case "cgroup2":
			unified = m.Target
		}
	}
	if unified != "" { // alone, or beside v1, where runc uses it too
		g.folders = append(g.folders, filepath.Join(unified, name))
	}
	if len(g.folders) == 1 && unified != "" {
		g.tracked = g.folders[0]
	}
	if g.tracked == "" {
		return cgroup{}, errors.New("no cgroups: neither cgroup v2 nor the pids controller of v1 is mounted")
	}
	return g, nil
}

// create makes the group in every hierarchy: the kubelet refuses a cgroupRoot that lacks one of its controllers.
func (g cgroup) create() error {
	for _, folder := range append(g.folders, g.system()) {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func (g cgroup) system() string { return filepath.Join(g.tracked, "system") }

// members returns the pids of all processes in the group and the groups below it.
func (g cgroup) members() ([]int, error) {
	var pids []int
	err := filepath.WalkDir(g.tracked, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // a pod's group went while we looked
			return nil
		}
		if err != nil || d.Name() != "cgroup.procs" {
			return err
		}
		text, _ := os.ReadFile(path) // nothing, where the group went meanwhile
		for _, field := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			pids = append(pids, pid)
		}
		return nil
	})
	return pids, err
}

// remove kills all members, again until no new ones appear, and removes the group.
func (g cgroup) remove(ctx context.Context) error {
	for {
		pids, err := g.members()
		if err != nil {
			return err
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
				return fmt.Errorf("kill %d: %w", pid, err)
			}
		}
		// A group can be removed when its last zombie is reaped, not when it is killed.
		left := g.rmdir()
		if len(pids) == 0 && len(left) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: processes %v are left in cgroup %s, and the folders %v", ctx.Err(), pids, g.tracked, left)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// rmdir removes the group's folders from the leaves up and returns those that would not go.
func (g cgroup) rmdir() (left []string) {
	for _, top := range g.folders {
		var folders []string
		_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				folders = append(folders, path)
			}
			return nil
		})
		for i := len(folders) - 1; i >= 0; i-- {
			if err := syscall.Rmdir(folders[i]); err != nil && err != syscall.ENOENT {
				left = append(left, folders[i])
			}
		}
	}
	return left
}
