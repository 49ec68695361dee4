package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Names in the folder.
const (
	socketFolder = "csi" // the --provider-volume
	mountFolder  = "mnt" // what a pod would see as /mnt
)

// maxSocketPath is safe on every Unix: Linux takes 107 bytes, macOS 103.
const maxSocketPath = 99 // bytes

// folder is where the demo works. Everything that it writes is in there.
type folder struct {
	root string // absolute
	made bool   // by the demo, so that it goes at the end
}

// openFolder takes dir, which must be new or empty: what is in it at the end is the demo's to remove.
// An empty dir is a temporary folder.
func openFolder(dir string) (*folder, error) {
	f, err := makeFolder(dir)
	if err != nil {
		return nil, fmt.Errorf("make the folder of the demo: %w", err)
	}
	// The provider binds its socket as .aws.<8 digits> before it is aws.sock.
	if longest := f.path(socketFolder, ".aws.01234567"); len(longest) > maxSocketPath {
		err := fmt.Errorf("%s is too deep for a Unix socket in it: name a folder with a shorter path by --dir", f.root)
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
		return nil, fmt.Errorf("%s is not empty: name a new or an empty one by --dir", root)
	}
	return &folder{root: root}, nil
}

// path is a path in the folder.
func (f *folder) path(parts ...string) string {
	return filepath.Join(append([]string{f.root}, parts...)...)
}

// mount is what the pod sees as /mnt/secrets.
func (f *folder) mount() string { return f.path(mountFolder, "secrets") }

// tidy removes everything, or everything but the mounted files, where there are any.
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
