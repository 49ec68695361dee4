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

// cgroup contains every process of the node: its programs in the child "system", the pods in "kubepods", where the kubelet puts them.
// Child processes inherit the cgroup, so no process of the node can leave it when its parent exits.
type cgroup struct {
	folders []string // the group's folder in every hierarchy (one with cgroup v2, one for each controller with v1)
	tracked string   // the folder that lists the members
}

// findCgroup returns the group of that name. It need not exist.
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
			// Any hierarchy can list the members. The kubelet always uses pids.
			if strings.Contains(","+m.Options+",", ",pids,") {
				g.tracked = folder
			}
		case "cgroup2":
			unified = m.Target
		}
	}
	if unified != "" { // alone, or together with v1: runc uses it too
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

// create creates the group in every hierarchy. The kubelet refuses a cgroupRoot that lacks one of its controllers.
func (g cgroup) create() error {
	for _, folder := range append(g.folders, g.system()) {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func (g cgroup) system() string { return filepath.Join(g.tracked, "system") }

// members returns the pids of all processes in the group and its subgroups.
func (g cgroup) members() ([]int, error) {
	var pids []int
	err := filepath.WalkDir(g.tracked, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // a pod's group was removed meanwhile
			return nil
		}
		if err != nil || d.Name() != "cgroup.procs" {
			return err
		}
		text, _ := os.ReadFile(path) // empty if the group was removed meanwhile
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

// remove kills all members until none are left, and removes the group.
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
		// A group can only be removed when its last zombie has been reaped.
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

// rmdir removes the group's folders, leaves first, and returns those that it could not remove.
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
