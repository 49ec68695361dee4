//go:build e2e

package e2e

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"secrets-provider-aws/deployment"
	"secrets-provider-aws/test/awssim"
	"secrets-provider-aws/test/node"
)

const (
	region  = "ap-south-1" // of the node, and so the default of every SecretProviderClass
	account = awssim.DefaultAccount

	release          = "secrets-provider-aws"
	releaseNamespace = "kube-system"
	providerLabels   = "app.kubernetes.io/name=secrets-provider-aws"
	audience         = "sts.amazonaws.com"
	agentTimeout     = "3s"                                        // for the Pod Identity agent
	socket           = "/run/secrets-store-csi-providers/aws.sock" // in the node, /var/run is a link

	// refreshInterval is the provider's --refresh-interval. It is short because cases wait for it.
	refreshInterval = "5s"
)

// world is a node with the provider, and AWS.
type world struct {
	*node.Node
	aws    *awssim.Sim
	late   atomic.Int64 // how many nanoseconds the clock of AWS is behind
	image  string       // name of our image in containerd
	folder string       // holds the chart and its values
}

// newWorld returns a partial world together with an error. close cleans it up.
func newWorld(ctx context.Context) (*world, error) {
	w := &world{}
	var err error
	if w.image, err = imageName(imageArchive()); err != nil {
		return w, fmt.Errorf("no image (make image): %w", err)
	}
	if w.folder, err = os.MkdirTemp("", "e2e-"); err != nil {
		return w, err
	}
	if w.Node, err = node.Up(ctx, node.Config{Region: region, Logf: logf}); err != nil {
		return w, err
	}
	if err := w.startAWS(func(c *awssim.Config) {
		c.PodIdentityListen = net.JoinHostPort(w.PodIdentityAddress(), "80") // where EKS has it
		c.Clock = func() time.Time { return time.Now().Add(-time.Duration(w.late.Load())) }
	}); err != nil {
		return w, err
	}
	if err := w.LoadImage(ctx, imageArchive()); err != nil {
		return w, err
	}
	return w, w.install(ctx)
}

func (w *world) close(ctx context.Context) error {
	var errs []error
	if w.aws != nil {
		w.aws.Close()
	}
	if w.Node != nil {
		errs = append(errs, w.Down(ctx))
	}
	return errors.Join(append(errs, os.RemoveAll(w.folder))...)
}

// install installs the chart on nodes that reach AWS through a proxy with a private certificate authority.
func (w *world) install(ctx context.Context) error {
	if err := deployment.WriteChart(ctx, w.chart()); err != nil {
		return err
	}
	if err := w.writeValues(ctx, "aws-ca"); err != nil {
		return err
	}
	_, err := w.upgrade(ctx)
	return err
}

// writeValues writes the chart's values for this node and this AWS: the tested image, and the way to AWS. The ConfigMap holds the
// certificate authority of AWS.
func (w *world) writeValues(ctx context.Context, configMap string) error {
	ca := filepath.Join(w.folder, "ca.crt")
	if err := w.aws.WriteCA(ca); err != nil {
		return err
	}
	if _, err := w.Kubectl(ctx, "create", "configmap", configMap, "--namespace", releaseNamespace, "--from-file=ca.crt="+ca); err != nil {
		return err
	}
	repository, tag, _ := strings.Cut(w.image, ":")
	values := fmt.Sprintf(`
image: {repository: %q, tag: %q, pullPolicy: Never}
extraArgs: [--refresh-interval=%s]
events: {enabled: true}
logVerbosity: 9 # the most: no secret may be in the log even so
podIdentityHttpTimeout: %s
extraEnv:
  - {name: HTTPS_PROXY, value: %q}
  - {name: NO_PROXY, value: 10.96.0.0/16} # Services, the Kubernetes API's among them
  - {name: AWS_CA_BUNDLE, value: /etc/aws-ca/ca.crt}
extraVolumes: [{name: aws-ca, configMap: {name: %s}}]
extraVolumeMounts: [{name: aws-ca, mountPath: /etc/aws-ca, readOnly: true}]
`, repository, tag, refreshInterval, agentTimeout, w.aws.ProxyURL(), configMap)
	return os.WriteFile(w.values(), []byte(values), 0o600)
}

// upgrade installs or upgrades the chart, waits until its pods are ready, and returns the chart's notes.
func (w *world) upgrade(ctx context.Context, arguments ...string) (string, error) {
	arguments = append([]string{
		"upgrade", "--install", release, w.chart(), "--namespace", releaseNamespace, "--values", w.values(), "--wait", "--timeout", "5m",
	}, arguments...)
	return w.Helm(ctx, arguments...)
}

func (w *world) chart() string  { return filepath.Join(w.folder, "chart") }
func (w *world) values() string { return filepath.Join(w.folder, "values.yaml") }

// imageArchive is the output of "make image".
func imageArchive() string { return "../../bin/image-" + runtime.GOARCH + ".tar" }

// imageName returns the name of the only image in a "docker save" archive.
func imageName(archive string) (string, error) {
	f, err := os.Open(archive)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	for r := tar.NewReader(f); ; {
		header, err := r.Next()
		if err != nil {
			return "", fmt.Errorf("%s has no manifest: %w", archive, err)
		}
		if header.Name != "manifest.json" {
			continue
		}
		var images []struct{ RepoTags []string }
		if err := json.NewDecoder(r).Decode(&images); err != nil {
			return "", fmt.Errorf("%s: %w", archive, err)
		}
		if len(images) != 1 || len(images[0].RepoTags) != 1 {
			return "", fmt.Errorf("%s does not hold exactly one image with one name: %v", archive, images)
		}
		return images[0].RepoTags[0], nil
	}
}
