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

// maxSocketPath is the most that a socket's address takes (unix(7), sun_path without its NUL).
const maxSocketPath = 107 // bytes

// Socket listens on <dir>/aws.sock. It is a net.Listener.
type Socket struct {
	path string

	mu       sync.Mutex
	listener *net.UnixListener
	file     os.FileInfo // the socket's own, to tell it from a successor's
}

// Listen binds a new socket and renames it over dir/aws.sock, so that there is never a moment without
// a listener: the driver waits for up to two minutes on a socket that nobody listens on. The directory
// is made where it is missing. Mode 0600: only root, as which the driver runs, may connect.
func Listen(dir string) (*Socket, error) {
	s := &Socket{path: filepath.Join(dir, SocketName)}
	if err := s.place(); err != nil {
		return nil, err
	}
	return s, nil
}

// place binds the socket, in a directory that it makes where there is none.
func (s *Socket) place() error {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o755); err != nil { //nolint:gosec // the directory is shared with the driver and other providers
		return fmt.Errorf("make the provider volume: %w", err)
	}
	return s.bind()
}

// bind puts a listener of its own in place, in that of the one it has.
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
		_ = s.listener.Close() // nobody finds it any more
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
		return nil, fmt.Errorf("look at the socket: %w", err)
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
		if err == nil || l == s.current() { // another listener took the place of one that was closed
			return conn, err
		}
	}
}

// Close implements net.Listener. The file stays.
func (s *Socket) Close() error { return s.current().Close() }

// Addr implements net.Listener.
func (s *Socket) Addr() net.Addr { return s.current().Addr() }

// keepEvery is how soon a socket that was lost is back.
const keepEvery = 200 * time.Millisecond

// Keep puts the socket back until ctx ends, whenever the driver would find nobody there: its file is gone,
// its directory is gone, or another instance has put its own socket there and died. AWS's provider removes
// aws.sock as it ends, whoever listens there: without this a node would be left without a provider by the
// change from that one to this one, and nothing would show it. A socket that a successor listens on is left alone.
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
			log.Warn("the socket was removed or left by another instance, and is back", keyReason, why)
		case !failing:
			failing = true
			log.Error("the socket is lost and cannot be put back; this is tried again several times a second", keyReason, why, keyError, err.Error())
		}
	}
}

// lost says why the driver would find nobody at the socket's path; empty where somebody listens, or where that
// cannot be told.
func (s *Socket) lost(ctx context.Context) string {
	file, err := os.Lstat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(filepath.Dir(s.path)); errors.Is(err, fs.ErrNotExist) {
			return "the provider volume was removed"
		}
		return "the file was removed, as AWS's provider does when it ends"
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

// owns reports whether file is this socket's. A new file may have the inode of a removed one, hence the time.
func (s *Socket) owns(file os.FileInfo) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return os.SameFile(file, s.file) && file.ModTime().Equal(s.file.ModTime())
}

// Path is where the driver finds the socket.
func (s *Socket) Path() string { return s.path }

// Remove deletes the socket's file unless another process has put its own there since.
func (s *Socket) Remove() error {
	file, err := os.Lstat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the socket: %w", err)
	}
	if !s.owns(file) {
		return nil
	}
	if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the socket: %w", err)
	}
	return nil
}
