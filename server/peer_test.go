package server_test

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/test/rig"
)

// dialEnv has the test binary dial a socket and say what came of it, instead of testing.
const dialEnv = "PEER_TEST_DIAL"

// What a process says of its connection.
const (
	peerServed  = "served" // the server spoke: its HTTP/2 settings came
	peerRefused = "refused"
)

// TestPeerDials is the other process of the tests below.
func TestPeerDials(t *testing.T) {
	socket := os.Getenv(dialEnv)
	if socket == "" {
		t.Skip("this is the other process of the tests of peers, and was not started as one")
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err) // the socket's mode keeps it out: the test shows nothing
	}
	said := peerServed
	if _, err = conn.Read(make([]byte, 1)); errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		said = peerRefused
	} else if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(os.Stderr, said); err != nil {
		t.Fatal(err)
	}
}

// dialAs has a process of another user dial the socket, and gives what it says.
func dialAs(t *testing.T, uid uint32, socket string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can start a process of another user")
	}
	// The binary lies in a folder of root's alone, which this name does not lead through.
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestPeerDials$")
	cmd.Dir = "/"
	cmd.Env = []string{dialEnv + "=" + socket}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	var said strings.Builder
	cmd.Stderr = &said
	if out, err := cmd.Output(); err != nil {
		t.Fatalf("uid %d cannot dial: %v\n%s%s", uid, err, out, said.String())
	}
	return said.String()
}

// Only root, as which the driver runs, may connect, whatever the socket's mode. A connection of anybody else is
// closed before a byte is read from it, and the log says so once, however often it happens.
func TestT51_OnlyRootConnects(t *testing.T) {
	r := rig.New(t, rig.Options{})
	for path, mode := range map[string]os.FileMode{r.Dir: 0o777, r.Socket(): 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	const nobody, somebody = 65534, 1000
	for _, tc := range []struct {
		uid  uint32
		want string
	}{{0, peerServed}, {nobody, peerRefused}, {somebody, peerRefused}, {nobody, peerRefused}, {0, peerServed}} {
		if got := dialAs(t, tc.uid, r.Socket()); got != tc.want {
			t.Errorf("uid %d was %q, want %q", tc.uid, got, tc.want)
		}
	}
	const line = "refused a connection to the socket"
	if n := strings.Count(r.Logs(), line); n != 1 || !strings.Contains(r.Logs(), "peer_uid=65534") {
		t.Errorf("%d lines of 3 refused connections, want 1 that names uid 65534: %s", n, r.Logs())
	}
	if _, err := r.Client.Version(t.Context(), &v1alpha1.VersionRequest{}); err != nil {
		t.Errorf("the driver is not served after that: %v", err)
	}
}
