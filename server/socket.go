package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// SocketName is the file that the driver dials for SecretProviderClasses with `provider: aws`.
const SocketName = "aws.sock"

// maxSocketPath is the maximum length of a socket's path (unix(7), sun_path without its NUL).
const maxSocketPath = 107 // bytes

// Socket listens on <dir>/aws.sock. It is a net.Listener.
type Socket struct {
	path string

	mu       sync.Mutex
	listener *net.UnixListener
	file     os.FileInfo // identifies this socket, so that a successor's is not removed
}

// Listen binds a new socket and renames it to dir/aws.sock, so that the path always has a listener: the driver
// waits up to two minutes for a socket without one. Listen creates a missing directory. The socket has mode 0600,
// because the driver runs as root.
func Listen(dir string) (*Socket, error) {
	s := &Socket{path: filepath.Join(dir, SocketName)}
	if err := s.place(); err != nil {
		return nil, err
	}
	return s, nil
}

// place creates the directory if it is missing, and the socket in it.
func (s *Socket) place() error {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o755); err != nil { //nolint:gosec // the directory is shared with the driver and other providers
		return fmt.Errorf("create the provider volume: %w", err)
	}
	return s.bind()
}

// bind creates a listener, renames its socket into place, and closes the listener that it replaces.
func (s *Socket) bind() error {
	suffix := make([]byte, 4)
	if _, err := rand.Read(suffix); err != nil {
		return err
	}
	temporary := filepath.Join(filepath.Dir(s.path), ".aws."+hex.EncodeToString(suffix))
	if len(temporary) > maxSocketPath {
		return fmt.Errorf("the provider volume's path is too long for a Unix socket: with the socket's name it may have %d bytes, and %s has %d",
			maxSocketPath, temporary, len(temporary))
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temporary, Net: "unix"})
	if err != nil {
		return fmt.Errorf("listen in the provider volume: %w", err)
	}
	l.SetUnlinkOnClose(false)
	file, err := moveInto(s.path, temporary)
	if err != nil {
		return errors.Join(err, l.Close(), os.Remove(temporary))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		_ = s.listener.Close() // its path is gone
	}
	s.listener, s.file = l, file
	return nil
}

func moveInto(path, temporary string) (os.FileInfo, error) {
	if err := os.Chmod(temporary, 0o600); err != nil {
		return nil, fmt.Errorf("protect the socket: %w", err)
	}
	file, err := os.Lstat(temporary)
	if err != nil {
		return nil, fmt.Errorf("stat the socket: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return nil, fmt.Errorf("put the socket in place: %w", err)
	}
	return file, nil
}

func (s *Socket) current() *net.UnixListener {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.listener
}

// Accept implements net.Listener.
func (s *Socket) Accept() (net.Conn, error) {
	for {
		l := s.current()
		conn, err := l.Accept()
		if err == nil || l == s.current() { // bind has not replaced the listener
			return conn, err
		}
	}
}

// Close implements net.Listener. The file stays.
func (s *Socket) Close() error { return s.current().Close() }

// Addr implements net.Listener.
func (s *Socket) Addr() net.Addr { return s.current().Addr() }

// keepEvery is the interval at which Keep checks the socket file.
const keepEvery = 200 * time.Millisecond

// Keep restores the socket until ctx ends, whenever nobody listens at its path: the file is missing, the directory is
// missing, or another instance has put its own socket there and died. AWS's provider removes aws.sock when it stops,
// even when another provider listens there. Without Keep, a migration from AWS's provider would leave the node without
// a provider, and nothing would show it. Keep does not touch the socket of a successor that listens.
func (s *Socket) Keep(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	failing := false // and said so
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		why := s.lost(ctx)
		if why == "" {
			failing = false
			continue
		}
		switch err := s.place(); {
		case err == nil:
			log.Warn("the socket was removed or left by another instance, and is restored", keyReason, why)
		case !failing:
			failing = true
			log.Error("the socket is lost and cannot be restored; this is tried again several times a second", keyReason, why, keyError, err.Error())
		}
	}
}

// lost says why nobody listens at the socket's path. It is empty when somebody does, or when that is unknown.
func (s *Socket) lost(ctx context.Context) string {
	file, err := os.Lstat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(filepath.Dir(s.path)); errors.Is(err, fs.ErrNotExist) {
			return "the provider volume was removed"
		}
		return "the file was removed, as AWS's provider does when it stops"
	case err != nil || s.owns(file):
		return ""
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", s.path)
	if err == nil {
		_ = conn.Close() // the other instance serves the node
		return ""
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return "another instance put its socket there and ended"
	}
	return ""
}

// owns reports whether file is this socket's. A new file may reuse the inode of a removed one, so the time is compared
// too.
func (s *Socket) owns(file os.FileInfo) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return os.SameFile(file, s.file) && file.ModTime().Equal(s.file.ModTime())
}

// Path is the path of the socket file.
func (s *Socket) Path() string { return s.path }

// Remove deletes the socket file unless another process has replaced it.
func (s *Socket) Remove() error {
	file, err := os.Lstat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stat the socket: %w", err)
	}
	if !s.owns(file) {
		return nil
	}
	if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the socket: %w", err)
	}
	return nil
}
