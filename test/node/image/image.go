// Package image writes small container images as archives for "ctr images import", "docker load" and "podman load".
// It needs no engine, no base image and no network. The same input gives the same bytes.
package image

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
)

// Image describes an image with one layer.
type Image struct {
	Ref        string   // the full name, with a registry: localhost/app:1
	Entrypoint []string // the command
	User       string   // uid:gid; empty: root
	Env        []string // NAME=value
	Files      []File
}

// File is one file of the image. Its folders are created as needed. Set exactly one of Source, Link and Content.
type File struct {
	Path    string      // absolute, in the image
	Source  string      // a file of this machine
	Link    string      // the target of a symbolic link
	Content []byte      // the text itself
	Mode    fs.FileMode // zero: 0755 with Source, else 0644
}

// Write writes the archive in the format of "docker save". It replaces the file atomically.
func (i Image) Write(archive string) error {
	layer, err := i.layer()
	if err != nil {
		return fmt.Errorf("image %s: %w", i.Ref, err)
	}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": i.Entrypoint, "User": i.User, "Env": i.Env, "WorkingDir": "/"},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + digest(layer)}},
	})
	if err != nil {
		return err
	}
	configName := digest(config) + ".json"
	manifest, err := json.Marshal([]map[string]any{{"Config": configName, "RepoTags": []string{i.Ref}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, file := range []File{{Path: "layer.tar", Content: layer}, {Path: configName, Content: config}, {Path: "manifest.json", Content: manifest}} {
		if err := file.write(w); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	if err := os.WriteFile(archive+".tmp", b.Bytes(), 0o644); err != nil {
		return err
	}
	return os.Rename(archive+".tmp", archive)
}

// layer returns the image's files as an uncompressed tar.
func (i Image) layer() ([]byte, error) {
	// The runtime mounts on the first three. Programs may expect the others in any root file system.
	folders := map[string]int64{"dev": 0o755, "proc": 0o755, "sys": 0o755, "etc": 0o755, "tmp": 0o1777}
	for _, file := range i.Files {
		for dir := path.Dir(strings.TrimPrefix(file.Path, "/")); dir != "."; dir = path.Dir(dir) {
			if _, ok := folders[dir]; !ok {
				folders[dir] = 0o755
			}
		}
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	names := make([]string, 0, len(folders))
	for name := range folders {
		names = append(names, name)
	}
	slices.Sort(names) // folders come before their content
	for _, name := range names {
		if err := w.WriteHeader(&tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: folders[name]}); err != nil {
			return nil, err
		}
	}
	files := slices.SortedFunc(slices.Values(i.Files), func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	for _, file := range files {
		if err := file.write(w); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func (f File) write(w *tar.Writer) error {
	header := &tar.Header{Name: strings.TrimPrefix(f.Path, "/"), Typeflag: tar.TypeReg, Mode: int64(f.Mode)}
	if f.Link != "" {
		header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, f.Link, 0o777
		return w.WriteHeader(header)
	}
	mode, content := int64(0o644), f.Content
	if f.Source != "" {
		var err error
		if content, err = os.ReadFile(f.Source); err != nil {
			return err
		}
		mode = 0o755
	}
	if header.Mode == 0 {
		header.Mode = mode
	}
	header.Size = int64(len(content))
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err := io.Copy(w, bytes.NewReader(content))
	return err
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
