package server_test

import (
	"net"
	"os"
	"testing"
	"time"

	"secrets-provider-aws/server"
	"secrets-provider-aws/test/rig"
)

// The provider volume can vanish as a whole: somebody cleans up the node, or installs the driver anew. A client
// that comes after that finds the provider, whether the directory was made again or not.
func TestT21_SocketComesBackWithItsDirectory(t *testing.T) {
	for name, madeAgain := range map[string]bool{"made again": true, "left to the provider": false} {
		t.Run(name, func(t *testing.T) {
			r := rig.New(t, rig.Options{})
			if err := os.RemoveAll(r.Dir); err != nil {
				t.Fatal(err)
			}
			if madeAgain {
				if err := os.Mkdir(r.Dir, 0o755); err != nil && !os.IsExist(err) { // the provider may have been faster
					t.Fatal(err)
				}
			}
			if err := callVersion(t, r); err != nil {
				t.Errorf("nobody answers after the provider volume was removed: %v", err)
			}
			wantAlone(t, r.Dir)
		})
	}
}

// A second instance that was started by mistake, and is killed, leaves a socket that nobody listens on in place of
// the first one's. The first one takes its place back.
func TestT22_SocketOfADeadInstanceIsReplaced(t *testing.T) {
	r := rig.New(t, rig.Options{})
	closeSocket(t, listen(t, r.Dir)) // as a process that is killed: the file stays
	if err := callVersion(t, r); err != nil {
		t.Errorf("nobody answers after the second instance died: %v", err)
	}
	wantAlone(t, r.Dir)
}

// A second instance that lives keeps the socket: two instances do not take it from each other for ever.
func TestT22_SocketOfALivingInstanceIsLeftAlone(t *testing.T) {
	r := rig.New(t, rig.Options{})
	dir := shortDir(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dir + "/" + server.SocketName, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if err := l.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir+"/"+server.SocketName, r.Socket()); err != nil {
		t.Fatal(err)
	}
	// Each look of the first instance at the socket is a connection. After two of them it has let the socket be once.
	for range 2 {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	if err := dial(r.Socket()); err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}
