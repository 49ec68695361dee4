package node

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"secrets-provider-aws/deployment/image"
)

// TestAppImage is the image of the workload in test/node/testapp. Every node has it. Pods use it with imagePullPolicy Never.
const TestAppImage = "localhost/testapp:1"

const (
	pauseImage     = "localhost/pause:1"
	driverImage    = "localhost/secrets-store-csi-driver:1"
	registrarImage = "localhost/csi-registrar:1"
	livenessImage  = "localhost/csi-liveness:1"
	crdsImage      = "localhost/secrets-store-csi-driver-crds:1"
)

// busybox is the static program of the package busybox-static.
const busybox = "/bin/busybox"

// nodeImages are the images of every node, by archive name.
func nodeImages(driver, workload string) map[string]image.Image {
	users := image.File{Path: "/etc/passwd", Content: []byte("root:x:0:0::/:\nnonroot:x:65532:65532::/:\n")}
	applet := func(name, target string) image.File { return image.File{Path: "/bin/" + name, Link: target} }
	return map[string]image.Image{
		"pause": {
			Ref: pauseImage, Entrypoint: []string{"/pause"}, User: "65535:65535",
			Files: []image.File{{Path: "/pause", Source: filepath.Join(workload, "pause")}},
		},
		"testapp": {
			Ref: TestAppImage, Entrypoint: []string{"/testapp"}, User: "65532:65532", Env: []string{"PATH=/bin"},
			Files: []image.File{
				{Path: "/testapp", Source: filepath.Join(workload, "testapp")}, users,
				// These make "kubectl exec POD -- cat FILE" work as with other images.
				applet("cat", "/testapp"), applet("ls", "/testapp"), applet("sleep", "/testapp"), applet("env", "/testapp"), applet("id", "/testapp"),
			},
		},
		"driver": {
			Ref: driverImage, Entrypoint: []string{"/secrets-store-csi-driver"}, User: "0:0", Env: []string{"PATH=/bin"},
			Files: []image.File{
				{Path: "/secrets-store-csi-driver", Source: filepath.Join(driver, "secrets-store-csi-driver")}, users,
				// The driver calls mount and umount.
				{Path: "/bin/busybox", Source: busybox}, applet("mount", "busybox"), applet("umount", "busybox"),
			},
		},
		"registrar": {
			Ref: registrarImage, Entrypoint: []string{"/registrar"}, User: "0:0",
			Files: []image.File{{Path: "/registrar", Source: filepath.Join(driver, "registrar")}, users},
		},
	}
}

// chartImages are the images that only the driver's Helm chart needs, by archive name.
func chartImages(kubernetes, driver string) map[string]image.Image {
	crd := func(name string) image.File {
		file := "secrets-store.csi.x-k8s.io_" + name + ".yaml"
		return image.File{Path: "/crds/" + file, Source: filepath.Join(driver, "deploy", file), Mode: 0o644}
	}
	return map[string]image.Image{
		"liveness": {
			Ref: livenessImage, Entrypoint: []string{"/liveness"}, User: "0:0",
			Files: []image.File{{Path: "/liveness", Source: filepath.Join(driver, "liveness")}},
		},
		// A hook of the chart applies the CRDs, with kubectl from this image.
		"crds": {
			Ref: crdsImage, Entrypoint: []string{"/kubectl"}, User: "65532:65532", Env: []string{"HOME=/tmp"},
			Files: []image.File{
				{Path: "/kubectl", Source: filepath.Join(kubernetes, "kubectl")}, crd("secretproviderclasses"), crd("secretproviderclasspodstatuses"),
			},
		},
	}
}

// images writes the archives of nodeImages and chartImages and returns their folder.
func (b *builder) images(kubernetes, driver, workload string) (string, error) {
	busyboxKey, err := hashFiles("/", []string{busybox})
	if err != nil {
		return "", err
	}
	key, err := hashFiles(b.root, []string{"test/node/images.go", "deployment/image"}, kubernetes, driver, workload, busyboxKey)
	if err != nil {
		return "", err
	}
	return b.once("images", key, func(tmp string) error {
		all := nodeImages(driver, workload)
		maps.Copy(all, chartImages(kubernetes, driver))
		for name, img := range all {
			if _, err := image.Write(filepath.Join(tmp, name+".tar"), img); err != nil {
				return err
			}
		}
		return nil
	})
}

// LoadImage loads the images of an archive into the node, under the names in the archive. The archive is an OCI
// image layout or comes from "docker save". Pods use the images with imagePullPolicy Never or IfNotPresent.
func (n *Node) LoadImage(ctx context.Context, archive string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	cmd := n.inBox(ctx, "ctr", "--namespace=k8s.io", "images", "import", "-")
	cmd.Stdin = f
	if err := runCommand(cmd); err != nil {
		return fmt.Errorf("image %s: %w", archive, err)
	}
	return nil
}

// TagImage gives an image of the node one more name, such as that of an image which the machine cannot pull.
func (n *Node) TagImage(ctx context.Context, image, name string) error {
	return runCommand(n.inBox(ctx, "ctr", "--namespace=k8s.io", "images", "tag", "--force", image, name))
}
