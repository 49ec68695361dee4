package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// dataLink is the symbolic link by which the driver's writer replaces a volume atomically. It points to
// the folder with the files, and each file of the volume is a link through it
// (pkg/util/fileutil/atomic_writer.go).
const dataLink = "..data"

// file is one file of a volume.
type file struct {
	name    string
	mode    fs.FileMode
	content string
}

// readVolume reads the files of a volume in the order of their names, without the writer's own links and folders.
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
		info, err := os.Stat(path) // follows the link
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

// listing formats files like ls -l, with their contents. It marks each file that is not in before,
// and none if before is nil.
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
