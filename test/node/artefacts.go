package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// CollectArtefacts copies diagnostics into the folder: the components' logs, the containers' logs, all objects, the events, and the
// node's mounts. It copies as much as it can. The error lists what is missing.
func (n *Node) CollectArtefacts(ctx context.Context, folder string) error {
	var errs []error
	write := func(name, text string, err error) {
		if err != nil {
			errs = append(errs, err)
			text += "\n" + err.Error() + "\n"
		}
		errs = append(errs, writeFile(filepath.Join(folder, name), []byte(text), 0o644))
	}
	for _, source := range []struct{ name, from string }{{"components", n.layout.logs()}, {"pods", n.layout.run("root/var/log/pods")}} {
		errs = append(errs, copyFolder(filepath.Join(folder, source.name), source.from))
	}
	for name, arguments := range map[string]string{
		"pods.txt":        "get pods --all-namespaces --output=wide",
		"objects.yaml":    "get pods,daemonsets,deployments,serviceaccounts,nodes,csinodes,csidrivers,secretproviderclasses,secretproviderclasspodstatuses --all-namespaces --output=yaml",
		"events.txt":      "get events --all-namespaces --sort-by=.lastTimestamp",
		"description.txt": "describe pods --all-namespaces",
	} {
		text, err := n.Kubectl(ctx, append(strings.Fields(arguments), "--request-timeout=10s")...)
		write(name, text, err)
	}
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", n.record.Holder.PID))
	write("mountinfo.txt", string(mounts), err)
	return errors.Join(errs...)
}

// copyFolder replaces a folder by a copy without links. The kubelet's log folders contain links to files that are copied anyway.
func copyFolder(to, from string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return writeFile(filepath.Join(to, relative), text, 0o644)
	})
}

// removeLogs removes the components' logs of the previous run.
func removeLogs(l layout) error {
	files, err := filepath.Glob(l.logs("*.log"))
	if err != nil {
		return err
	}
	var errs []error
	for _, file := range files {
		errs = append(errs, os.Remove(file))
	}
	return errors.Join(errs...)
}
