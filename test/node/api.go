package node

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

// HTTPClient returns an anonymous client of the API server that trusts its certificate. An STS uses it to read the issuer's keys.
func (n *Node) HTTPClient() (*http.Client, error) {
	ca, err := n.CACertificate()
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return nil, errors.New("cannot parse the node's CA certificate")
	}
	// Ignore proxies of the environment: the node is on this machine.
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true, IdleConnTimeout: time.Minute}
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}, nil
}

// Get reads an API object, such as /api/v1/nodes/node1, as the administrator. into may be nil.
func (n *Node) Get(ctx context.Context, path string, into any) error {
	n.mu.Lock()
	if n.client == nil {
		client, err := n.HTTPClient()
		if err != nil {
			n.mu.Unlock()
			return err
		}
		token, err := os.ReadFile(n.layout.run("pki", "admin.token"))
		if err != nil {
			n.mu.Unlock()
			return err
		}
		n.client, n.token = client, string(token)
	}
	client, token := n.client, n.token
	n.mu.Unlock()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.layout.apiServer()+path, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s: %s", path, response.Status, bytes.TrimSpace(body))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}

// Kubectl runs kubectl on the host as the administrator and returns its standard output. An error contains the standard error.
func (n *Node) Kubectl(ctx context.Context, arguments ...string) (string, error) {
	return output(n.apiClient(ctx, n.tools.kubernetes("kubectl"), arguments...))
}

// KubectlPath is the path of the kubectl of the node's Kubernetes version, for use with Kubeconfig.
func (n *Node) KubectlPath() string { return n.tools.kubernetes("kubectl") }

// Helm runs helm on the host as the administrator and returns its standard output. The first call builds helm if it is not cached.
func (n *Node) Helm(ctx context.Context, arguments ...string) (string, error) {
	path, err := HelmPath(ctx, n.cfg)
	if err != nil {
		return "", err
	}
	return output(n.apiClient(ctx, path, arguments...))
}

// Apply applies manifests, as "kubectl apply -f" does.
func (n *Node) Apply(ctx context.Context, manifests string) error {
	cmd := n.apiClient(ctx, n.tools.kubernetes("kubectl"), "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(manifests)
	return runCommand(cmd)
}

// Delete deletes the objects of manifests, ignores missing ones, and returns when they are gone.
func (n *Node) Delete(ctx context.Context, manifests string) error {
	cmd := n.apiClient(ctx, n.tools.kubernetes("kubectl"), "delete", "--ignore-not-found", "-f", "-")
	cmd.Stdin = strings.NewReader(manifests)
	return runCommand(cmd)
}

// apiClient prepares a command that calls the API server, without the user's configuration and proxies.
func (n *Node) apiClient(ctx context.Context, command string, arguments ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, command, arguments...)
	home := n.layout.run("client")
	cmd.Env = append(n.environment(), "KUBECONFIG="+n.Kubeconfig(), "HOME="+home, "KUBECACHEDIR="+home)
	return cmd
}

// Until calls holds until it returns true. At the deadline it fails with the last error of holds. If a component of the node has
// exited, it fails at once with the end of the component's log.
func (n *Node) Until(ctx context.Context, timeout time.Duration, what string, holds func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var last error
	for {
		ok, err := holds(ctx)
		if ok && err == nil {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			last = err
		}
		if err := n.ended(); err != nil {
			return fmt.Errorf("waiting for %s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			if last == nil {
				last = ctx.Err()
			}
			return fmt.Errorf("waited %s for %s: %w", timeout, what, last)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// ended returns an error if a component has exited.
func (n *Node) ended() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, p := range n.record.Components {
		if !p.alive() {
			log, _ := os.ReadFile(n.layout.logs(name + ".log"))
			return fmt.Errorf("%s exited; the end of %s:\n%s", name, n.layout.logs(name+".log"), tail(string(log), 15))
		}
	}
	return nil
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
