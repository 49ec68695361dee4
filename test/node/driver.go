package node

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// InstallDriver applies the driver's own CRDs and RBAC, and the manifests of the config folder. It returns when pods can mount.
// Every node has the driver. This is for a test that removed it.
func (n *Node) InstallDriver(ctx context.Context) error {
	err := n.Until(ctx, 2*time.Minute, "the namespace kube-system", func(ctx context.Context) (bool, error) {
		err := n.Get(ctx, "/api/v1/namespaces/kube-system", nil)
		return err == nil, err
	})
	if err != nil {
		return err
	}
	files, err := n.driverFiles()
	if err != nil {
		return err
	}
	issuer, err := n.writeConfig("issuer.yaml")
	if err != nil {
		return err
	}
	arguments := []string{"apply", "-f", issuer}
	for _, file := range append(files, n.crdFiles()...) {
		arguments = append(arguments, "-f", file)
	}
	if _, err := n.Kubectl(ctx, arguments...); err != nil {
		return err
	}
	return n.WaitNode(ctx)
}

// RemoveDriver removes the driver, but not its CRDs. It returns when the kubelet does not know the driver any more. Running pods
// keep their volumes.
func (n *Node) RemoveDriver(ctx context.Context) error {
	files, err := n.driverFiles()
	if err != nil {
		return err
	}
	arguments := []string{"delete", "--ignore-not-found", "--cascade=foreground"}
	for _, file := range files {
		arguments = append(arguments, "-f", file)
	}
	if _, err := n.Kubectl(ctx, arguments...); err != nil {
		return err
	}
	return n.Until(ctx, 2*time.Minute, "the end of the driver's registration", func(ctx context.Context) (bool, error) {
		var o object
		err := n.Get(ctx, "/apis/storage.k8s.io/v1/csinodes/"+nodeName, &o)
		return !o.hasDriver(driverName), err
	})
}

// DriverChart loads the images that the driver's Helm chart needs, and returns values of that chart, as YAML, that name them.
// Remove the node's own driver first.
func (n *Node) DriverChart(ctx context.Context) (values string, err error) {
	for name := range chartImages("", "") {
		if err := n.LoadImage(ctx, n.tools.image(name)); err != nil {
			return "", err
		}
	}
	image := func(ref string) string {
		repository, tag, _ := strings.Cut(ref, ":")
		return fmt.Sprintf("{repository: %s, tag: %q, pullPolicy: Never}", repository, tag)
	}
	return fmt.Sprintf(`
logVerbosity: 5
linux:
  image: %s
  registrarImage: %s
  livenessProbeImage: %s
  crds: {image: %s}
  additionalProvidersDirs: [/var/run/secrets-store-csi-providers] # the other default is below the host's /etc
`, image(driverImage), image(registrarImage), image(livenessImage), image(crdsImage)), nil
}

// crdFiles are the driver's own CRDs.
func (n *Node) crdFiles() []string {
	return n.upstream("secrets-store.csi.x-k8s.io_secretproviderclasses.yaml", "secrets-store.csi.x-k8s.io_secretproviderclasspodstatuses.yaml")
}

// driverFiles are the manifests of the driver without its CRDs.
func (n *Node) driverFiles() ([]string, error) {
	own, err := n.writeConfig("driver.yaml")
	return append(n.upstream("rbac-secretproviderclass.yaml", "rbac-secretprovidersyncing.yaml",
		"role-secretproviderclasses-admin.yaml", "role-secretproviderclasses-viewer.yaml", "role-secretproviderclasspodstatuses-viewer.yaml"), own), err
}

// upstream returns the paths of files of the driver's deploy folder.
func (n *Node) upstream(files ...string) []string {
	var paths []string
	for _, file := range files {
		paths = append(paths, n.tools.manifests()+"/"+file)
	}
	return paths
}

// classesPath exists when the API server serves the driver's types.
const classesPath = "/apis/secrets-store.csi.x-k8s.io/v1/secretproviderclasses"

// WaitNode waits until a pod with a volume can start: the node is Ready, and the driver, SecretProviderClass and a ServiceAccount
// exist.
func (n *Node) WaitNode(ctx context.Context) error {
	for _, c := range []struct {
		what, path string
		holds      func(object) bool
	}{
		{"the node", "/api/v1/nodes/" + nodeName, func(o object) bool { return o.Status.condition("Ready") }},
		{"the driver's registration", "/apis/storage.k8s.io/v1/csinodes/" + nodeName, func(o object) bool { return o.hasDriver(driverName) }},
		{"the SecretProviderClass type", classesPath, func(object) bool { return true }},
		{"the ServiceAccount default", "/api/v1/namespaces/default/serviceaccounts/default", func(object) bool { return true }},
		{"the ConfigMap kube-root-ca.crt", "/api/v1/namespaces/default/configmaps/kube-root-ca.crt", func(object) bool { return true }},
	} {
		err := n.Until(ctx, 2*time.Minute, c.what, func(ctx context.Context) (bool, error) {
			var o object
			if err := n.Get(ctx, c.path, &o); err != nil {
				return false, err
			}
			return c.holds(o), nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
