//go:build e2e

package node_test

import (
	"bufio"
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/test/node"
)

// TestNode starts a node, uses each part once, stops it, and checks that the host has not changed.
func TestNode(t *testing.T) {
	ctx, cfg := prepare(t)
	before := host(t, cfg)
	n, err := node.Up(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = n.Down(context.WithoutCancel(ctx)) }() // no effect if the test has already stopped the node
	used := t.Run("use", func(t *testing.T) { use(ctx, t, n) })
	mounted := t.Run("mount", func(t *testing.T) { mount(ctx, t, n) })
	if !used || !mounted {
		folder := filepath.Join(os.TempDir(), "secrets-provider-node-smoke")
		t.Logf("artefacts in %s: %v", folder, n.CollectArtefacts(ctx, folder))
	}
	if second, err := node.Up(ctx, cfg); !errors.Is(err, node.ErrInUse) {
		t.Errorf("a second Up returned %v, %v", second, err)
	}
	folder, _, _, err := node.HostNames(cfg)
	if err != nil {
		t.Fatal(err)
	}
	running := strings.Join(processes(t, folder), "\n")
	for _, want := range []string{"kubelet ", "containerd-shim", "/pause", "/secrets-store-csi-driver "} {
		if !strings.Contains(running, want) {
			t.Errorf("%q is not among the node's processes, so the check after Down would prove nothing:\n%s", want, running)
		}
	}
	start := time.Now()
	if err := n.Down(ctx); err != nil {
		t.Fatal(err)
	}
	t.Logf("down in %s", time.Since(start))
	compare(t, cfg, before)
}

// TestKilledRun kills a run at several points of its start. The next run must clean up after it.
func TestKilledRun(t *testing.T) {
	if os.Getenv("NODE_TEST_UP") != "" { // the child process that is killed
		n, err := node.Up(t.Context(), node.Config{Logf: func(format string, arguments ...any) { fmt.Printf(format+"\n", arguments...) }})
		t.Fatalf("not killed: %v, %v", n, err)
	}
	ctx, cfg := prepare(t)
	before := host(t, cfg)
	for _, last := range []string{"the box is open", "containerd has its images", "the API server is ready"} {
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestKilledRun$")
		cmd.Env = append(os.Environ(), "NODE_TEST_UP=1")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		reached := false
		for lines := bufio.NewScanner(out); lines.Scan() && !reached; {
			reached = strings.Contains(lines.Text(), last)
		}
		if err := errors.Join(cmd.Process.Kill(), cmd.Wait()); !reached {
			t.Fatalf("the run did not reach %q: %v", last, err)
		}
		status, err := node.Status(cfg)
		if err != nil || !strings.Contains(status, "leftovers") {
			t.Errorf("killed after %q, the status is %v, %q", last, err, status)
		}
	}
	n, err := node.Up(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Down(ctx); err != nil {
		t.Fatal(err)
	}
	compare(t, cfg, before)
}

// prepare builds, and removes leftovers of an earlier run, so that neither counts as a change of the host.
func prepare(t *testing.T) (context.Context, node.Config) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Minute)
	t.Cleanup(cancel)
	cfg := node.Config{Logf: t.Logf}
	if err := node.Build(ctx, cfg); node.IsPrecondition(err) && os.Getenv("E2E_OPTIONAL") == "1" {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	}
	if err := node.Down(ctx, cfg, false); err != nil {
		t.Fatal(err)
	}
	return ctx, cfg
}

const workload = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: app, namespace: default}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: app, namespace: default}
data: {greeting: hello}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: app}}
  template:
    metadata: {labels: {app: app}}
    spec:
      serviceAccountName: app
      terminationGracePeriodSeconds: 1
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: app
          image: localhost/testapp:1
          imagePullPolicy: Never
          args: [watch, /config]
          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
          resources: {limits: {memory: 64Mi, cpu: 200m}}
          volumeMounts:
            - {name: config, mountPath: /config}
            - {name: token, mountPath: /token}
      volumes:
        - name: config
          configMap: {name: app}
        - name: token
          projected: {sources: [{serviceAccountToken: {audience: sts.amazonaws.com, path: token}}]}
---
# No provider serves this pod's volume. The pod stays pending, and its events show the driver's error.
apiVersion: secrets-store.csi.x-k8s.io/v1
kind: SecretProviderClass
metadata: {name: orphan, namespace: default}
spec: {provider: nobody, parameters: {objects: none}}
---
apiVersion: v1
kind: Pod
metadata: {name: orphan, namespace: default}
spec:
  serviceAccountName: app
  terminationGracePeriodSeconds: 1
  containers:
    - {name: app, image: "localhost/testapp:1", imagePullPolicy: Never, volumeMounts: [{name: secrets, mountPath: /secrets}]}
  volumes:
    - name: secrets
      csi: {driver: secrets-store.csi.k8s.io, readOnly: true, volumeAttributes: {secretProviderClass: orphan}}
`

// use calls everything that the node offers to tests.
func use(ctx context.Context, t *testing.T, n *node.Node) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	listener, err := n.ListenHost()
	must(err)
	serve(t, listener, "from the host")
	agent, err := net.Listen("tcp", net.JoinHostPort(n.PodIdentityAddress(), "80"))
	must(err)
	serve(t, agent, "from the agent")

	start := time.Now()
	must(n.Apply(ctx, workload))
	must(n.WaitPodsReady(ctx, "default", "app=app", 2))
	t.Logf("two pods ready after %s", time.Since(start))
	names, err := n.PodNames(ctx, "default", "app=app")
	must(err)
	pod := names[0]

	drivers, err := n.Kubectl(ctx, "get", "csinode", "node1", "-o", "jsonpath={.spec.drivers[*].name}")
	must(err)
	if drivers != "secrets-store.csi.k8s.io" {
		t.Errorf("CSINode lists %q", drivers)
	}
	region, err := n.Kubectl(ctx, "get", "node", "node1", "-o", `jsonpath={.metadata.labels.topology\.kubernetes\.io/region}`)
	must(err)
	if region != "eu-west-1" {
		t.Errorf("the node's region is %q", region)
	}
	event, err := n.WaitPodEvent(ctx, "default", "orphan", "FailedMount", "nobody")
	must(err)
	t.Log(event)

	for _, c := range []struct{ command, want string }{
		{"cat /config/greeting", "hello"},
		{"ls -l /config", "/config/greeting -> ..data/greeting"},
		{"id", "CapEff:\t0000000000000000"},
		{"/testapp get http://" + listener.Addr().String(), "200 OK\nfrom the host"},
		{"/testapp get http://" + n.PodIdentityAddress(), "200 OK\nfrom the agent"},
	} {
		out, err := n.Exec(ctx, "default", pod, strings.Fields(c.command)...)
		if err != nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v, %q; want %q in it", c.command, err, out, c.want)
		}
	}
	must(n.Until(ctx, time.Minute, "the greeting in the container's log", func(ctx context.Context) (bool, error) {
		log, err := n.Logs(ctx, "default", pod, "")
		return strings.Contains(log, `/config/greeting "hello"`), err
	}))
	pid, err := n.ContainerPID(ctx, "default", pod, "app")
	must(err)
	if comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err != nil || string(comm) != "testapp\n" {
		t.Errorf("the container's process is %q, %v", comm, err)
	}

	token, err := n.Exec(ctx, "default", pod, "cat", "/token/token")
	must(err)
	verify(t, n, token)
	token, err = n.Token(ctx, "default", "app", "sts.amazonaws.com", 10*time.Minute)
	must(err)
	verify(t, n, token)

	version, err := n.Helm(ctx, "version", "--short")
	must(err)
	t.Logf("helm %s", version)

	start = time.Now()
	must(n.StopAPIServer(ctx))
	if _, err := n.Kubectl(ctx, "get", "nodes", "--request-timeout=1s"); err == nil {
		t.Error("kubectl works without the API server")
	}
	must(n.StartAPIServer(ctx))
	t.Logf("an outage of %s", time.Since(start))

	start = time.Now()
	must(n.Reboot(ctx))
	must(n.WaitPodsReady(ctx, "default", "app=app", 2))
	t.Logf("all ready %s after the reboot", time.Since(start))
	if again, err := n.ContainerPID(ctx, "default", pod, "app"); err != nil || again == pid {
		t.Errorf("after the reboot the container's pid is %d, as before, %v", again, err)
	}

	mounts := func() (volumes int) {
		all, err := n.Mounts()
		must(err)
		for _, m := range all {
			if strings.HasPrefix(m.Target, "/var/lib/kubelet/pods/") && strings.HasSuffix(m.Target, "/token") {
				volumes++
			}
		}
		return volumes
	}
	if mounts() != 2 {
		t.Errorf("%d token volumes are mounted, want those of 2 pods", mounts())
	}
	_, err = n.Kubectl(ctx, "delete", "deployment", "app", "--cascade=foreground", "--timeout=1m")
	must(err)
	must(n.DeletePods(ctx, "default", ""))
	if mounts() != 0 {
		t.Errorf("%d token volumes are still mounted", mounts())
	}
}

// serve responds to every request with text until the test ends.
func serve(t *testing.T, listener net.Listener, text string) {
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
}

// verify checks a token like STS: it finds the issuer's keys from the token, and verifies the signature.
func verify(t *testing.T, n *node.Node, token string) {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("not a token: %q", token)
	}
	var header struct{ Kid, Alg string }
	var claims struct {
		Iss, Sub string
		Aud      []string
	}
	for i, into := range []any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
	if claims.Iss != n.Issuer() || claims.Sub != "system:serviceaccount:default:app" || cmp.Diff(claims.Aud, []string{"sts.amazonaws.com"}) != "" {
		t.Errorf("claims %+v", claims)
	}
	client, err := n.HTTPClient()
	if err != nil {
		t.Fatal(err)
	}
	fetch := func(url string, into any) {
		t.Helper()
		response, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body)
		if err := json.Unmarshal(body, into); err != nil || response.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s %v", url, response.Status, body, err)
		}
	}
	var discovery struct {
		Issuer string
		JWKS   string `json:"jwks_uri"`
	}
	fetch(claims.Iss+"/.well-known/openid-configuration", &discovery)
	var keys struct{ Keys []struct{ Kid, N, E string } }
	fetch(discovery.JWKS, &keys)
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys.Keys {
		if key.Kid != header.Kid {
			continue
		}
		modulus, _ := base64.RawURLEncoding.DecodeString(key.N)
		exponent, _ := base64.RawURLEncoding.DecodeString(key.E)
		public := &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(new(big.Int).SetBytes(exponent).Int64())}
		digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		if err := rsa.VerifyPKCS1v15(public, crypto.SHA256, digest[:], signature); err != nil {
			t.Error(err)
		}
		return
	}
	t.Errorf("no key %s among %+v", header.Kid, keys)
}
