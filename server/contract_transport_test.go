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
	// The driver takes semver (https://semver.org, its own regular expression without the groups' names).
	semver := regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$`)
	if !semver.MatchString(got.GetRuntimeVersion()) {
		t.Errorf("RuntimeVersion %q is not semver", got.GetRuntimeVersion())
	}
	if calls := r.AWS.Calls(); len(calls) != 0 {
		t.Errorf("Version, the driver's health check, called AWS: %v", calls)
	}
}

func TestD2_SocketIsAwsSockAndRootsAlone(t *testing.T) {
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

// The driver looks for <name>.sock in the directory, and people look into it: nothing else may lie there.
func wantAlone(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != server.SocketName {
		t.Errorf("the provider volume holds %v, want %s alone", entries, server.SocketName)
	}
}

func TestD2_MakesTheProviderVolume(t *testing.T) {
	dir := shortDir(t) + "/a/b"
	socket := listen(t, dir)
	if socket.Path() != dir+"/aws.sock" {
		t.Errorf("path %s, want it in %s", socket.Path(), dir)
	}
}

func TestD3_SaysWhyItCannotListen(t *testing.T) {
	dir := shortDir(t)
	if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		dir + "/file": "make the provider volume: ",
		dir + strings.Repeat("/deep", 25): "the provider volume's path is too long for a Unix socket: " +
			"with the socket's name it may have 107 bytes",
	} {
		socket, err := server.Listen(dir)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v and %v, want an error that says %q", socket, err, want)
		}
	}
}

// A provider that was killed leaves its socket: a file that nobody listens on.
func TestD4_StaleSocketIsReplaced(t *testing.T) {
	dir := shortDir(t)
	stale := listen(t, dir)
	closeSocket(t, stale)
	if dial(dir+"/aws.sock") == nil {
		t.Fatal("the stale socket is alive: the test shows nothing")
	}
	fresh := listen(t, dir)
	if err := dial(fresh.Path()); err != nil {
		t.Fatalf("nobody listens after the stale socket was replaced: %v", err)
	}
	wantAlone(t, dir)
}

// What lies at the socket's path need not be a socket.
func TestD4_StaleFileIsReplaced(t *testing.T) {
	dir := shortDir(t)
	if err := os.WriteFile(dir+"/aws.sock", []byte("leftover"), 0o644); err != nil {
		t.Fatal(err)
	}
	if file, err := os.Lstat(listen(t, dir).Path()); err != nil || file.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("aws.sock is %v, %v", file, err)
	}
}

// The driver's client waits up to two minutes on a socket that nobody listens on: in an upgrade
// there must be no such moment. Callers hammer the path, each call on a new connection, while
// server after server takes it over and the one before it ends.
func TestD5_NoMomentWithoutAListener(t *testing.T) {
	const successors, callers = 10, 2
	r := rig.New(t, rig.Options{})
	var (
		calls   atomic.Int64
		over    = make(chan struct{})
		hammers sync.WaitGroup
	)
	for range callers {
		hammers.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				// A refused or missing socket shows in connect(2), at once; no client waits here.
				conn, err := net.Dial("unix", r.Socket())
				if errors.Is(err, syscall.EAGAIN) { // somebody listens, and has a full queue
					continue
				}
				if err != nil {
					t.Errorf("after %d connections: %v", calls.Load(), err)
					return
				}
				// The server speaks first; one that ends may also cut the connection. Either way it was there.
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
		if err := answers(t, r); err != nil {
			t.Errorf("server %d does not answer: %v", i+1, err)
		}
		for calls.Load() == before && !t.Failed() { // let the callers see each change
			runtime.Gosched()
		}
		running = next
	}
	close(over)
	hammers.Wait()
	wantAlone(t, r.Dir)
	t.Logf("%d connections in %d upgrades", calls.Load(), successors)
}

// A client that has been connected since before the upgrade loses no call either.
func TestD6_UpgradeLosesNoCall(t *testing.T) {
	r := rig.New(t, rig.Options{})
	running := r.Running()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var answered atomic.Int64
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		for ctx.Err() == nil {
			if _, err := r.Client.Version(t.Context(), &v1alpha1.VersionRequest{}); err != nil {
				failed <- fmt.Errorf("call %d: %w", answered.Load()+1, err)
				return
			}
			answered.Add(1)
		}
	}()
	for range 5 {
		next := r.Serve()
		running.Terminate()
		if err := running.Wait(); err != nil {
			t.Error(err)
		}
		before := answered.Load()
		for answered.Load() == before && len(failed) == 0 {
			runtime.Gosched()
		}
		running = next
	}
	cancel()
	if err := <-failed; err != nil {
		t.Error(err)
	}
}

// At its end a server removes its own socket and no other's.
func TestD7_ShutdownRemovesItsOwnSocketOnly(t *testing.T) {
	r := rig.New(t, rig.Options{})
	old, next := r.Running(), r.Serve()
	old.Terminate()
	if err := old.Wait(); err != nil {
		t.Errorf("old server: %v", err)
	}
	if err := answers(t, r); err != nil {
		t.Errorf("the old server's end cut off the new one: %v", err)
	}
	next.Terminate()
	if err := next.Wait(); err != nil {
		t.Errorf("new server: %v", err)
	}
	if _, err := os.Lstat(r.Socket()); !os.IsNotExist(err) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// File systems give a new file the inode of a removed one: the inode alone does not tell whose socket it is.
func TestD7_ASuccessorOnTheSameInodeIsKept(t *testing.T) {
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

// answers asks whoever listens for its version. The driver's client would wait for a listener for ever.
func answers(t *testing.T, r *rig.Rig) error {
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

// shortDir is a directory for a socket, whose path may have 107 bytes: t.TempDir repeats the test's name.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "socket")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// awsProvider serves aws.sock in dir as AWS's provider does (main.go there): it removes what it finds there
// when it begins, and whatever is there when it ends. It knows no call.
func awsProvider(t *testing.T, dir string) (end func()) {
	t.Helper()
	path := filepath.Join(dir, server.SocketName)
	var l net.Listener
	err := errors.New("not yet")
	for err != nil && t.Context().Err() == nil { // between the two calls the socket can come back: the kubelet would start it anew
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

// Whoever comes from AWS's provider has both on a node for a moment. However that one begins and ends, this one
// serves the node in the end, and a driver that has been connected to the other all along.
func TestD8_OutlivesAWSsProvider(t *testing.T) {
	r := rig.New(t, rig.Options{})
	answers := func(client v1alpha1.CSIDriverProviderClient, want codes.Code) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if _, err := client.Version(ctx, &v1alpha1.VersionRequest{}); status.Code(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	const ours, theirs = codes.OK, codes.Unimplemented

	end := awsProvider(t, r.Dir) // takes the socket of the one that runs
	client := r.Dial()
	answers(client, theirs)
	r.Running().Terminate() // as whoever goes back to AWS's provider does
	if err := r.Running().Wait(); err != nil {
		t.Error(err)
	}
	answers(r.Dial(), theirs)
	r.Serve()
	answers(r.Dial(), ours)
	answers(client, theirs) // its connection lasts
	end()                   // removes a socket that is not its own
	answers(client, ours)
	answers(r.Dial(), ours)
	if !strings.Contains(r.Logs(), "the socket was removed") {
		t.Errorf("the log does not say that the socket was put back: %s", r.Logs())
	}
}
