package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWrite_SeveralArchitectures(t *testing.T) {
	amd64, arm64 := testImage("amd64"), testImage("arm64")
	files, digest := written(t, amd64, arm64)
	if _, ok := files["manifest.json"]; ok {
		t.Error("manifest.json: docker would load one of two images")
	}
	top := manifests(t, files, "index.json")
	if len(top) != 1 || top[0].MediaType != indexType || top[0].Digest != digest || top[0].Annotations["io.containerd.image.name"] != amd64.Ref {
		t.Fatalf("index.json: %+v, want the one index %s", top, digest)
	}
	for i, want := range []string{"amd64", "arm64"} {
		manifest := manifests(t, files, blobPath(digest))[i]
		if manifest.Platform.Architecture != want {
			t.Errorf("architecture %s, want %s", manifest.Platform.Architecture, want)
		}
		checkImage(t, files, manifest, want)
	}
}

func TestWrite_OneArchitecture(t *testing.T) {
	files, digest := written(t, testImage("arm64"))
	top := manifests(t, files, "index.json")
	if len(top) != 1 || top[0].MediaType != manifestType || top[0].Digest != digest {
		t.Fatalf("index.json: %+v, want the one manifest %s", top, digest)
	}
	checkImage(t, files, top[0], "arm64")

	var docker []struct {
		Config           string
		RepoTags, Layers []string
	}
	decode(t, files["manifest.json"], &docker)
	if len(docker) != 1 || len(docker[0].Layers) != 1 || files[docker[0].Config] == nil || files[docker[0].Layers[0]] == nil {
		t.Errorf("manifest.json: %+v, want a config and a layer of the archive", docker)
	}
	if diff := cmp.Diff([]string{"localhost/app:1"}, docker[0].RepoTags); diff != "" {
		t.Error(diff)
	}
}

func TestWrite_NeedsTheFiles(t *testing.T) {
	archive := filepath.Join(t.TempDir(), "image.tar")
	_, err := Write(archive, Image{Ref: "localhost/app:1", Files: []File{{Path: "/app", Source: "nowhere"}}})
	if err == nil || !strings.Contains(err.Error(), "image localhost/app:1: open nowhere") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(archive); !os.IsNotExist(err) {
		t.Errorf("the archive is there: %v", err)
	}
}

func testImage(arch string) Image {
	return Image{
		Ref: "localhost/app:1", Arch: arch, Entrypoint: []string{"/bin/app"}, User: "1:2", Ports: []string{"80/tcp"}, Labels: map[string]string{"a": "b"},
		Files: []File{{Path: "/bin/app", Content: []byte("program for " + arch), Mode: 0o755}, {Path: "/bin/ls", Link: "app"}},
	}
}

// written writes the images twice, checks that both archives have the same bytes and that each blob has the digest of
// its name, and returns the files of the archive.
func written(t *testing.T, images ...Image) (map[string][]byte, string) {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "image.tar")
	write := func() ([]byte, string) {
		digest, err := Write(archive, images...)
		if err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(archive)
		if err != nil {
			t.Fatal(err)
		}
		return content, digest
	}
	first, want := write()
	second, got := write()
	if !bytes.Equal(first, second) || got != want {
		t.Error("two archives of the same images differ")
	}
	files := untar(t, first)
	for name, content := range files {
		if strings.HasPrefix(name, "blobs/") && name != blobPath(digest(content)) {
			t.Errorf("%s has the digest %s", name, digest(content))
		}
	}
	return files, want
}

// checkImage follows manifest to its configuration and its layer.
func checkImage(t *testing.T, files map[string][]byte, manifest descriptor, arch string) {
	t.Helper()
	var m struct {
		Config descriptor
		Layers []descriptor
	}
	decode(t, files[blobPath(manifest.Digest)], &m)
	var config struct {
		Architecture, OS string
		Config           struct {
			Entrypoint   []string
			User         string
			Labels       map[string]string
			ExposedPorts map[string]struct{}
		}
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	decode(t, files[blobPath(m.Config.Digest)], &config)
	if config.Architecture != arch || config.OS != "linux" || config.Config.User != "1:2" || config.Config.Labels["a"] != "b" || config.Config.Entrypoint[0] != "/bin/app" {
		t.Errorf("configuration %+v", config)
	}
	if _, ok := config.Config.ExposedPorts["80/tcp"]; !ok {
		t.Errorf("ports %v", config.Config.ExposedPorts)
	}
	if len(m.Layers) != 1 || m.Layers[0].Size != len(files[blobPath(m.Layers[0].Digest)]) {
		t.Fatalf("layers %+v", m.Layers)
	}
	unpacked, err := gzip.NewReader(bytes.NewReader(files[blobPath(m.Layers[0].Digest)]))
	if err != nil {
		t.Fatal(err)
	}
	layer, err := io.ReadAll(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{digest(layer)}, config.RootFS.DiffIDs); diff != "" {
		t.Error(diff)
	}
	if got := string(untar(t, layer)["bin/app"]); got != "program for "+arch {
		t.Errorf("/bin/app has %q", got)
	}
}

func manifests(t *testing.T, files map[string][]byte, name string) []descriptor {
	t.Helper()
	var index struct{ Manifests []descriptor }
	decode(t, files[name], &index)
	return index.Manifests
}

func untar(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := r.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if header.Typeflag == tar.TypeDir {
			continue
		}
		if files[header.Name], err = io.ReadAll(r); err != nil {
			t.Fatal(err)
		}
	}
}

func decode(t *testing.T, content []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(content, into); err != nil {
		t.Fatalf("%v: %s", err, content)
	}
}
