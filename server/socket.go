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
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the directory is shared with the driver and other providers
		return nil, fmt.Errorf("make the provider volume: %w", err)
	}
	s := &Socket{path: filepath.Join(dir, SocketName)}
	if err := s.bind(); err != nil {
		return nil, err
	}
	return s, nil
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

// Keep restores the socket until ctx ends, whenever its file is missing. AWS's provider removes aws.sock when it
// stops, even when another provider listens there. Without Keep, a migration from AWS's provider would leave the
// node without a provider, and nothing would show it. Keep does not touch a successor's socket.
func (s *Socket) Keep(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, err := os.Lstat(s.path); !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := s.bind(); err != nil {
			log.Error("the socket was removed and cannot be restored", keyError, err.Error())
			continue
		}
		log.Warn("the socket was removed, as AWS's provider does when it stops, and is restored")
	}
}

// Path is the path of the socket file.
func (s *Socket) Path() string { return s.path }

// Remove deletes the socket file unless another process has replaced it.
func (s *Socket) Remove() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	file, err := os.Lstat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stat the socket: %w", err)
	}
	// A new file may reuse the inode of a removed one, so the time is compared too.
	if !os.SameFile(file, s.file) || !file.ModTime().Equal(s.file.ModTime()) {
		return nil
	}
	if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the socket: %w", err)
	}
	return nil
}
