package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Folders inside the demo's folder.
const (
	socketFolder = "csi" // --provider-volume
	mountFolder  = "mnt" // /mnt of the pod
)

// maxSocketPath works on every Unix: Linux allows 107 bytes, macOS 103.
const maxSocketPath = 99 // bytes

// folder holds every file that the demo writes.
type folder struct {
	root string // absolute
	made bool   // the demo made it, and removes it at the end
}

// openFolder opens dir, which must be new or empty: the demo removes everything in it at the end.
// If dir is "", openFolder makes a temporary folder.
func openFolder(dir string) (*folder, error) {
	f, err := makeFolder(dir)
	if err != nil {
		return nil, fmt.Errorf("create the demo's folder: %w", err)
	}
	// The provider binds its socket as .aws.<8 digits>, then renames it to aws.sock.
	if longest := f.path(socketFolder, ".aws.01234567"); len(longest) > maxSocketPath {
		err := fmt.Errorf("the path %s is too long for a Unix socket: set --dir to a shorter path", f.root)
		return nil, errors.Join(err, f.tidy(false))
	}
	return f, nil
}

func makeFolder(dir string) (*folder, error) {
	if dir == "" {
		root, err := os.MkdirTemp("", "demo-")
		return &folder{root: root, made: true}, err
	}
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(root)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &folder{root: root, made: true}, os.MkdirAll(root, 0o700)
	case err != nil:
		return nil, err
	case len(entries) > 0:
		return nil, fmt.Errorf("%s is not empty: set --dir to a new or empty folder", root)
	}
	return &folder{root: root}, nil
}

// path joins parts to the folder's path.
func (f *folder) path(parts ...string) string {
	return filepath.Join(append([]string{f.root}, parts...)...)
}

// mount is /mnt/secrets of the pod.
func (f *folder) mount() string { return f.path(mountFolder, "secrets") }

// tidy removes everything. With keep it leaves the mounted files, if there are any.
func (f *folder) tidy(keep bool) error {
	if mounted, err := os.ReadDir(f.mount()); err != nil || len(mounted) == 0 {
		keep = false
	}
	if f.made && !keep {
		return os.RemoveAll(f.root)
	}
	entries, err := os.ReadDir(f.root)
	errs := []error{err}
	for _, e := range entries {
		if !keep || e.Name() != mountFolder {
			errs = append(errs, os.RemoveAll(f.path(e.Name())))
		}
	}
	return errors.Join(errs...)
}
