// Package image writes small container images as archives for registries, "docker load", "podman load" and
// "ctr images import". It needs no engine, no base image and no network. The same input gives the same bytes.
package image

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
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
	Ref        string // the full name, with a registry: localhost/app:1
	Arch       string // GOARCH; empty: that of this program
	Entrypoint []string
	User       string            // uid:gid; empty: root
	Env        []string          // NAME=value
	Labels     map[string]string // such as org.opencontainers.image.version
	Ports      []string          // that the program listens on: 8989/tcp
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

// The media types of the OCI image specification.
const (
	indexType    = "application/vnd.oci.image.index.v1+json"
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// descriptor points to a blob: https://github.com/opencontainers/image-spec/blob/main/descriptor.md
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

// Write writes an archive with an OCI image layout. Several images are one image for several architectures: they have the
// same Ref. If there is one image, the archive also has what "docker load" needs. Write replaces the archive atomically.
// It returns the digest that the image has in every registry.
func Write(archive string, images ...Image) (string, error) {
	var l layout
	var manifests []descriptor
	for _, img := range images {
		manifest, err := l.image(img, len(images) == 1)
		if err != nil {
			return "", fmt.Errorf("image %s: %w", img.Ref, err)
		}
		manifests = append(manifests, manifest)
	}
	top, ref := manifests[0], images[0].Ref
	if len(manifests) > 1 {
		var err error
		if top, err = l.json(indexType, index(manifests...)); err != nil {
			return "", err
		}
	}
	top.Annotations = map[string]string{
		"io.containerd.image.name":          ref,
		"org.opencontainers.image.ref.name": ref[strings.LastIndex(ref, ":")+1:],
	}
	if err := l.file("index.json", index(top)); err != nil {
		return "", err
	}
	if err := l.file("oci-layout", map[string]string{"imageLayoutVersion": "1.0.0"}); err != nil {
		return "", err
	}
	return top.Digest, l.write(archive)
}

func index(manifests ...descriptor) any {
	return map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": manifests}
}

// layout is the content of an OCI image layout: https://github.com/opencontainers/image-spec/blob/main/image-layout.md
type layout struct{ files []File }

// image adds an image, and if docker is set what "docker load" needs. It returns the descriptor of the manifest.
func (l *layout) image(i Image, docker bool) (descriptor, error) {
	plain, err := i.layer()
	if err != nil {
		return descriptor{}, err
	}
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(plain); err != nil {
		return descriptor{}, err
	}
	if err := w.Close(); err != nil {
		return descriptor{}, err
	}
	layer := l.blob(layerType, packed.Bytes())
	is := &platform{Architecture: cmp.Or(i.Arch, runtime.GOARCH), OS: "linux"}
	ports := map[string]struct{}{}
	for _, port := range i.Ports {
		ports[port] = struct{}{}
	}
	config, err := l.json(configType, map[string]any{
		"architecture": is.Architecture, "os": is.OS,
		"config": map[string]any{
			"Entrypoint": i.Entrypoint, "User": i.User, "Env": i.Env, "WorkingDir": "/", "Labels": i.Labels, "ExposedPorts": ports,
		},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": []string{digest(plain)}},
		"history": []map[string]any{{"created_by": "deployment/image"}},
	})
	if err != nil {
		return descriptor{}, err
	}
	if docker {
		if err := l.file("manifest.json", []map[string]any{{
			"Config": blobPath(config.Digest), "RepoTags": []string{i.Ref}, "Layers": []string{blobPath(layer.Digest)},
		}}); err != nil {
			return descriptor{}, err
		}
	}
	manifest, err := l.json(manifestType, map[string]any{
		"schemaVersion": 2, "mediaType": manifestType, "config": config, "layers": []descriptor{layer},
	})
	manifest.Platform = is
	return manifest, err
}

func (l *layout) json(mediaType string, v any) (descriptor, error) {
	content, err := json.Marshal(v)
	if err != nil {
		return descriptor{}, err
	}
	return l.blob(mediaType, content), nil
}

func (l *layout) blob(mediaType string, content []byte) descriptor {
	sum := digest(content)
	l.files = append(l.files, File{Path: "/" + blobPath(sum), Content: content})
	return descriptor{MediaType: mediaType, Digest: sum, Size: len(content)}
}

func (l *layout) file(name string, v any) error {
	content, err := json.Marshal(v)
	l.files = append(l.files, File{Path: "/" + name, Content: content})
	return err
}

func (l *layout) write(archive string) error {
	content, err := tarOf(map[string]int64{"blobs": 0o755, "blobs/sha256": 0o755}, l.files)
	if err != nil {
		return err
	}
	if err := os.WriteFile(archive+".tmp", content, 0o644); err != nil { //nolint:gosec // other users may load the image
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
	return tarOf(folders, i.Files)
}

// tarOf returns an uncompressed tar of folders (path → mode) and files, in a fixed order and without times.
func tarOf(folders map[string]int64, files []File) ([]byte, error) {
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
	for _, file := range slices.SortedFunc(slices.Values(files), func(a, b File) int { return strings.Compare(a.Path, b.Path) }) {
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

func blobPath(digest string) string { return "blobs/" + strings.Replace(digest, ":", "/", 1) }

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:])
}
