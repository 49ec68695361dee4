package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// record is the state of the running node for other processes: run/state.json.
type record struct {
	Boot       string             `json:"boot"`            // boot id at the start of the processes
	Owner      *process           `json:"owner,omitempty"` // when it exits, the node is a leftover; nil: the node stays until Down
	Up         bool               `json:"up"`              // Up has succeeded
	Booted     time.Time          `json:"booted"`          // last start of the node
	Holder     process            `json:"holder"`          // holds the box's namespaces
	Components map[string]process `json:"components"`      // by name, as in the logs folder
}

// readRecord returns nil if no node was ever started.
func readRecord(l layout) (*record, error) {
	text, err := os.ReadFile(l.run("state.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", l.run("state.json"), err)
	}
	return &r, nil
}

func (r *record) write(l layout) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(l.run("state.json"), text, 0o600)
}

// living reports whether the node runs in this boot, and which running process owns it. A node whose owner has exited is a leftover.
func (r *record) living() (running bool, owner *process) {
	switch {
	case r == nil || r.Boot != bootID():
		return false, nil
	case r.Owner != nil:
		return r.Owner.alive(), r.Owner
	}
	return r.Up && r.Holder.alive(), nil
}

func bootID() string {
	id, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(id))
}

// writeFile replaces a file atomically: a reader, or a run after a kill, sees the old text or the new one.
func writeFile(path string, text []byte, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, text, mode); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// lock waits for the file's lock and takes it for this process. The kernel releases it when the process exits.
func lock(path string, waiting func()) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for told := false; ; time.Sleep(100 * time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if err != syscall.EWOULDBLOCK && err != syscall.EINTR {
			return nil, fmt.Errorf("lock %s: %w", path, errors.Join(err, f.Close()))
		}
		if !told {
			waiting()
			told = true
		}
	}
}
