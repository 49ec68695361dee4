package server_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/testing/protocmp"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"

	"secrets-provider-aws/server"
	"secrets-provider-aws/test/rig"
)

func TestD1_VersionAndMount(t *testing.T) {
	r := rig.New(t, rig.Options{})
	got, err := r.Client.Version(t.Context(), &v1alpha1.VersionRequest{Version: "v1alpha1"})
	if err != nil {
		t.Fatal(err)
	}
	want := &v1alpha1.VersionResponse{Version: "v1alpha1", RuntimeName: "secrets-provider-aws", RuntimeVersion: rig.Version}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("Version (-want +got):\n%s", diff)
	}
	// The driver requires semver. This is the regular expression of https://semver.org without group names.
	semver := regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)
	if !semver.MatchString(got.GetRuntimeVersion()) {
		t.Errorf("RuntimeVersion %q is not semver", got.GetRuntimeVersion())
	}
	if calls := r.AWS.Calls(); len(calls) != 0 {
		t.Errorf("Version, the driver's health check, called AWS: %v", calls)
	}
}

func TestD2_SocketIsAwsSockForRootOnly(t *testing.T) {
	r := rig.New(t, rig.Options{})
	file, err := os.Lstat(r.Dir + "/aws.sock")
	if err != nil {
		t.Fatal(err)
	}
	if file.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("aws.sock is %s, want a socket of mode 0600", file.Mode())
	}
	wantAlone(t, r.Dir)
}

// wantAlone checks that the socket is the only file in the provider volume.
func wantAlone(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != server.SocketName {
		t.Errorf("the provider volume holds %v, want only %s", entries, server.SocketName)
	}
}

func TestD2_MakesTheProviderVolume(t *testing.T) {
	dir := shortDir(t) + "/a/b"
	socket := listen(t, dir)
	if socket.Path() != dir+"/aws.sock" {
		t.Errorf("path %s, want it in %s", socket.Path(), dir)
	}
}

func TestD3_ListenErrorNamesTheCause(t *testing.T) {
	dir := shortDir(t)
	if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		dir + "/file": "create the provider volume: ",
		dir + strings.Repeat("/deep", 25): "the provider volume's path is too long for a Unix socket: " +
			"with the socket's name it may have 107 bytes",
	} {
		socket, err := server.Listen(dir)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v and %v, want an error that says %q", socket, err, want)
		}
	}
}

// A killed provider leaves a socket file without a listener.
func TestD4_StaleSocketIsReplaced(t *testing.T) {
	dir := shortDir(t)
	stale := listen(t, dir)
	closeSocket(t, stale)
	if dial(dir+"/aws.sock") == nil {
		t.Fatal("the stale socket has a listener: the test proves nothing")
	}
	fresh := listen(t, dir)
	if err := dial(fresh.Path()); err != nil {
		t.Fatalf("no listener after the stale socket was replaced: %v", err)
	}
	wantAlone(t, dir)
}

// The file at the socket's path may be a regular file.
func TestD4_StaleFileIsReplaced(t *testing.T) {
	dir := shortDir(t)
	if err := os.WriteFile(dir+"/aws.sock", []byte("leftover"), 0o644); err != nil {
		t.Fatal(err)
	}
	if file, err := os.Lstat(listen(t, dir).Path()); err != nil || file.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("aws.sock is %v, %v", file, err)
	}
}

// The driver's client waits up to two minutes for a socket without a listener, so an upgrade must always have
// one. Clients open new connections in a loop while each new server replaces the one before it.
func TestD5_UpgradeAlwaysHasAListener(t *testing.T) {
	const successors, callers = 10, 2
	r := rig.New(t, rig.Options{})
	var (
		calls   atomic.Int64
		over    = make(chan struct{})
		clients sync.WaitGroup
	)
	for range callers {
		clients.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				// connect(2) fails at once when the socket refuses or is missing.
				conn, err := net.Dial("unix", r.Socket())
				if errors.Is(err, syscall.EAGAIN) { // there is a listener, and its queue is full
					continue
				}
				if err != nil {
					t.Errorf("after %d connections: %v", calls.Load(), err)
					return
				}
				// The server sends first, or cuts the connection when it stops. Both prove that there was a listener.
				_, _ = conn.Read(make([]byte, 1))
				_ = conn.Close()
				calls.Add(1)
			}
		})
	}
	running := r.Running()
	for i := range successors {
		next := r.Serve()
		before := calls.Load()
		running.Terminate()
		if err := running.Wait(); err != nil {
			t.Errorf("server %d: %v", i, err)
		}
		if err := callVersion(t, r); err != nil {
			t.Errorf("server %d does not respond: %v", i+1, err)
		}
		for calls.Load() == before && !t.Failed() { // wait until a client has connected to the new server
			runtime.Gosched()
		}
		running = next
	}
	close(over)
	clients.Wait()
	wantAlone(t, r.Dir)
	t.Logf("%d connections in %d upgrades", calls.Load(), successors)
}

// A client that connected before the upgrade loses no call.
func TestD6_UpgradeLosesNoCall(t *testing.T) {
	r := rig.New(t, rig.Options{})
	running := r.Running()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var succeeded atomic.Int64
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		for ctx.Err() == nil {
			if _, err := r.Client.Version(t.Context(), &v1alpha1.VersionRequest{}); err != nil {
				failed <- fmt.Errorf("call %d: %w", succeeded.Load()+1, err)
				return
			}
			succeeded.Add(1)
		}
	}()
	for range 5 {
		next := r.Serve()
		running.Terminate()
		if err := running.Wait(); err != nil {
			t.Error(err)
		}
		before := succeeded.Load()
		for succeeded.Load() == before && len(failed) == 0 {
			runtime.Gosched()
		}
		running = next
	}
	cancel()
	if err := <-failed; err != nil {
		t.Error(err)
	}
}

// A server that stops removes its own socket and no other.
func TestD7_ShutdownRemovesItsOwnSocketOnly(t *testing.T) {
	r := rig.New(t, rig.Options{})
	old, next := r.Running(), r.Serve()
	old.Terminate()
	if err := old.Wait(); err != nil {
		t.Errorf("old server: %v", err)
	}
	if err := callVersion(t, r); err != nil {
		t.Errorf("the shutdown of the old server broke the new one: %v", err)
	}
	next.Terminate()
	if err := next.Wait(); err != nil {
		t.Errorf("new server: %v", err)
	}
	if _, err := os.Lstat(r.Socket()); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// A file system may reuse the inode of a removed file, so the inode alone does not identify a socket.
func TestD7_SuccessorOnTheSameInodeIsKept(t *testing.T) {
	dir := shortDir(t)
	for range 100 {
		old := listen(t, dir)
		before, err := os.Lstat(old.Path())
		if err != nil {
			t.Fatal(err)
		}
		closeSocket(t, old)
		if err := os.Remove(old.Path()); err != nil {
			t.Fatal(err)
		}
		next := listen(t, dir)
		after, err := os.Lstat(next.Path())
		if err != nil {
			t.Fatal(err)
		}
		if !os.SameFile(before, after) || before.ModTime().Equal(after.ModTime()) {
			closeSocket(t, next)
			continue
		}
		if err := old.Remove(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(next.Path()); err != nil {
			t.Errorf("the old server removed its successor's socket, which has its inode: %v", err)
		}
		return
	}
	t.Skip("this file system did not reuse an inode in 100 attempts")
}

// callVersion calls Version on a new connection. The timeout is needed because the driver's client waits
// for a listener without a limit.
func callVersion(t *testing.T, r *rig.Rig) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := r.Dial().Version(ctx, &v1alpha1.VersionRequest{})
	return err
}

// dial tries to connect to a socket.
func dial(socket string) error {
	conn, err := net.Dial("unix", socket)
	if err == nil {
		_ = conn.Close()
	}
	return err
}

func listen(t *testing.T, dir string) *server.Socket {
	t.Helper()
	socket, err := server.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	return socket
}

func closeSocket(t *testing.T, socket *server.Socket) {
	t.Helper()
	if err := socket.Close(); err != nil {
		t.Fatal(err)
	}
}

// shortDir returns a directory for a socket. A socket's path has at most 107 bytes, and t.TempDir includes the
// name of the test.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "socket")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// awsProvider serves aws.sock in dir as AWS's provider does (main.go there). It removes the file at that path
// when it starts and when it stops, and it implements no method.
func awsProvider(t *testing.T, dir string) (end func()) {
	t.Helper()
	path := filepath.Join(dir, server.SocketName)
	var l net.Listener
	err := errors.New("not yet")
	for err != nil && t.Context().Err() == nil { // Keep can restore the socket between the two calls, as the kubelet would restart this provider
		_ = os.Remove(path)
		l, err = net.Listen("unix", path)
	}
	g := grpc.NewServer()
	v1alpha1.RegisterCSIDriverProviderServer(g, v1alpha1.UnimplementedCSIDriverProviderServer{})
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	return func() {
		t.Helper()
		g.GracefulStop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		_ = os.Remove(path)
	}
}

// During a migration both providers run on a node for a short time. When AWS's provider has stopped, this one
// serves the node, also for a driver that was connected to AWS's provider.
func TestD8_SocketSurvivesTheEndOfAWSProvider(t *testing.T) {
	r := rig.New(t, rig.Options{})
	wantVersion := func(client v1alpha1.CSIDriverProviderClient, want codes.Code) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if _, err := client.Version(ctx, &v1alpha1.VersionRequest{}); status.Code(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	const ours, theirs = codes.OK, codes.Unimplemented

	end := awsProvider(t, r.Dir) // takes over the socket of the running server
	client := r.Dial()
	wantVersion(client, theirs)
	r.Running().Terminate() // as a rollback to AWS's provider does
	if err := r.Running().Wait(); err != nil {
		t.Error(err)
	}
	wantVersion(r.Dial(), theirs)
	r.Serve()
	wantVersion(r.Dial(), ours)
	wantVersion(client, theirs) // its connection stays open
	end()                       // removes the socket of the other provider
	wantVersion(client, ours)
	wantVersion(r.Dial(), ours)
	if !strings.Contains(r.Logs(), "the socket was removed") {
		t.Errorf("the log does not say that the socket was put back: %s", r.Logs())
	}
}
