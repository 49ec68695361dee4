package node

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"text/template"
	"time"
)

//go:embed config
var configs embed.FS

// writeConfig renders a template of the config folder into the node's folder of that name.
func (n *Node) writeConfig(name string) (path string, err error) {
	text, err := n.renderConfig(name)
	if err != nil {
		return "", err
	}
	path = n.layout.run("config", name)
	return path, writeFile(path, text, 0o644)
}

func (n *Node) renderConfig(name string) ([]byte, error) {
	t, err := template.ParseFS(configs, filepath.Join("config", name))
	if err != nil {
		return nil, err
	}
	snapshotter := "overlayfs"
	if isOverlay(string(n.layout)) {
		snapshotter = "native" // copies files, because an overlay cannot use another overlay
	}
	var text bytes.Buffer
	err = t.Execute(&text, map[string]string{
		"PKI": n.layout.run("pki"), "Config": n.layout.run("config"), "Cgroup": n.layout.cgroup(), "PodCIDR": n.layout.podCIDR(),
		"Containerd": containerdSocket, "Snapshotter": snapshotter, "PauseImage": pauseImage,
		"SyncFrequency": n.cfg.SyncFrequency.String(), "RotationPollInterval": n.cfg.RotationPollInterval.String(),
		"DriverImage": driverImage, "RegistrarImage": registrarImage,
	})
	return text.Bytes(), err
}

func (n *Node) startEtcd() error {
	// No fsync: the data does not outlive the node, and a slow disk would cost seconds.
	return n.start("etcd", n.tools.kubernetes("etcd"), "--name=node", "--data-dir=/var/lib/etcd", "--unsafe-no-fsync",
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380", "--initial-cluster=node=http://127.0.0.1:2380")
}

func (n *Node) startAPIServer() error {
	pki := func(file string) string { return n.layout.run("pki", file) }
	return n.start("kube-apiserver", n.tools.kubernetes("kube-apiserver"), "--etcd-servers=http://127.0.0.1:2379",
		"--bind-address=0.0.0.0", "--secure-port=443", "--advertise-address="+n.layout.nodeAddress(),
		"--tls-cert-file="+pki("apiserver.crt"), "--tls-private-key-file="+pki("apiserver.key"),
		"--kubelet-client-certificate="+pki("kubelet-client.crt"), "--kubelet-client-key="+pki("kubelet-client.key"), "--kubelet-preferred-address-types=InternalIP",
		"--token-auth-file="+pki("tokens.csv"), "--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		// The issuer is the API server's own address, so that STS can find the keys from the token alone, as with EKS's public issuer.
		"--service-account-issuer="+n.Issuer(), "--service-account-jwks-uri="+n.Issuer()+"/openid/v1/jwks",
		"--service-account-key-file="+pki("service-account.key"), "--service-account-signing-key-file="+pki("service-account.key"),
		"--service-cluster-ip-range="+serviceCIDR, "--allow-privileged=true", "--profiling=false")
}

func (n *Node) startControllerManager() error {
	return n.start("kube-controller-manager", n.tools.kubernetes("kube-controller-manager"), "--kubeconfig="+n.layout.run("kubeconfig", "kube-controller-manager"),
		"--use-service-account-credentials=true", "--service-account-private-key-file="+n.layout.run("pki", "service-account.key"),
		"--root-ca-file="+n.layout.run("pki", "ca.crt"), "--bind-address=127.0.0.1", "--leader-elect=false",
		"--flex-volume-plugin-dir=/var/lib/kubelet/volumeplugins", // the default is under /usr, which belongs to the host
		"--kube-api-qps=1000", "--kube-api-burst=1000") // the default delays its start by seconds
}

func (n *Node) startScheduler() error {
	return n.start("kube-scheduler", n.tools.kubernetes("kube-scheduler"), "--kubeconfig="+n.layout.run("kubeconfig", "kube-scheduler"),
		"--bind-address=127.0.0.1", "--leader-elect=false")
}

func (n *Node) startContainerd(ctx context.Context) error {
	config, err := n.writeConfig("containerd.toml")
	if err != nil {
		return err
	}
	if _, err := n.writeConfig("cni/bridge.conflist"); err != nil {
		return err
	}
	if err := n.start("containerd", "containerd", "--config="+config); err != nil {
		return err
	}
	return n.Until(ctx, 2*time.Minute, "containerd", func(ctx context.Context) (bool, error) {
		err := n.enter(ctx, "ctr", "version")
		return err == nil, err
	})
}

func (n *Node) startKubelet() error {
	config, err := n.writeConfig("kubelet.yaml")
	if err != nil {
		return err
	}
	// Not the host's resolv.conf: pods cannot reach its name servers, and on some hosts the file is a link into /run.
	if err := writeFile(n.layout.run("config", "resolv.conf"), []byte("options timeout:1\n"), 0o644); err != nil {
		return err
	}
	return n.start("kubelet", n.tools.kubernetes("kubelet"), "--config="+config, "--kubeconfig="+n.layout.run("kubeconfig", "kubelet"),
		"--hostname-override="+nodeName, "--node-ip="+n.layout.nodeAddress(), "--node-labels=topology.kubernetes.io/region="+n.cfg.Region)
}

// StopAPIServer kills the API server, to cause an outage for the kubelet and the pods. Kubectl and the methods that need the API fail
// until StartAPIServer.
func (n *Node) StopAPIServer(ctx context.Context) error {
	return n.stop(ctx, "kube-apiserver")
}

// StartAPIServer ends the outage. It returns when the API server is ready and serves the driver's types. Watches reconnect later:
// client-go waits up to a minute between attempts. Until then the scheduler, the kubelet and the driver do not see new objects.
func (n *Node) StartAPIServer(ctx context.Context) error {
	if err := n.startAPIServer(); err != nil {
		return err
	}
	if err := n.waitAPIServer(ctx); err != nil {
		return err
	}
	return n.Until(ctx, 2*time.Minute, "the SecretProviderClass type", func(ctx context.Context) (bool, error) {
		err := n.Get(ctx, classesPath, nil)
		return err == nil, err
	})
}

func (n *Node) waitAPIServer(ctx context.Context) error {
	return n.Until(ctx, 2*time.Minute, "kube-apiserver", func(ctx context.Context) (bool, error) {
		err := n.Get(ctx, "/readyz", nil)
		return err == nil, err
	})
}

// stop kills a component and returns when its process has exited.
func (n *Node) stop(ctx context.Context, name string) error {
	n.mu.Lock()
	p := n.record.Components[name]
	delete(n.record.Components, name)
	err := n.record.write(n.layout)
	n.mu.Unlock()
	if err := errors.Join(err, p.kill()); err != nil {
		return err
	}
	return n.Until(ctx, time.Minute, "the end of "+name, func(context.Context) (bool, error) { return !p.alive(), nil })
}

// HostAddress is the host's address for pods and the node. A server on the host must listen on it, or on all addresses.
func (n *Node) HostAddress() string { return n.layout.hostAddress() }

// PodIdentityAddress is the address of EKS's Pod Identity agent. While the node runs, the host has this address. Pods find a simulated
// agent on its port 80 without further configuration.
func (n *Node) PodIdentityAddress() string { return podIdentityAddress }

// ListenHost listens on a free port of HostAddress.
func (n *Node) ListenHost() (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort(n.HostAddress(), "0"))
}

// Issuer is the iss claim of the node's ServiceAccount tokens. HTTPClient can read its discovery document and keys without a token.
func (n *Node) Issuer() string { return n.layout.apiServer() }

// Path is the host's path of a path in the node, for example /var/lib/kubelet/pods. It includes mounts.
func (n *Node) Path(inNode string) string {
	return filepath.Join(fmt.Sprintf("/proc/%d/root", n.record.Holder.PID), inNode)
}

// Kubeconfig is the path of the administrator's kubeconfig.
func (n *Node) Kubeconfig() string { return n.layout.run("kubeconfig", "admin") }

// CACertificate returns the CA certificate of the API server, as PEM.
func (n *Node) CACertificate() ([]byte, error) { return os.ReadFile(n.layout.run("pki", "ca.crt")) }
