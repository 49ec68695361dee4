package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// dataLink is how the driver's writer changes a volume in one step: each file is a link through it, and
// it points to the folder that holds them (pkg/util/fileutil/atomic_writer.go).
const dataLink = "..data"

// file is one file as a pod sees it.
type file struct {
	name    string
	mode    fs.FileMode
	content string
}

// readVolume reads the files of a volume, by name, without the writer's own links and folders.
func readVolume(dir string) ([]file, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []file
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "..") {
			continue
		}
		path := filepath.Join(dir, e.Name())
		info, err := os.Stat(path) // of what the link points to
		if err != nil {
			return nil, err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		files = append(files, file{e.Name(), info.Mode(), string(content)})
	}
	return files, nil
}

// listing shows files as ls -l does, with their contents, and marks those that are not in before.
// A nil before marks none.
func listing(files, before []file) string {
	var b strings.Builder
	for _, f := range files {
		mark := ""
		if before != nil && !slices.Contains(before, f) {
			mark = "  ← new"
		}
		fmt.Fprintf(&b, "%s  %3d bytes  %-11s  %s%s\n", f.mode, len(f.content), f.name, f.content, mark)
	}
	return b.String()
}
