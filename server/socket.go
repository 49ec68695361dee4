package server

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// SocketName is the file that the driver dials for SecretProviderClasses with `provider: aws`.
const SocketName = "aws.sock"

// maxSocketPath is the most that a socket's address takes (unix(7), sun_path without its NUL).
const maxSocketPath = 107 // bytes

// Socket listens on <dir>/aws.sock.
type Socket struct {
	*net.UnixListener
	path string
	file os.FileInfo // the socket's own, to tell it from a successor's
}

// Listen binds a new socket and renames it over dir/aws.sock, so that there is never a moment without
// a listener: the driver waits for up to two minutes on a socket that nobody listens on. The directory
// is made where it is missing. Mode 0600: only root, as which the driver runs, may connect.
func Listen(dir string) (*Socket, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the directory is shared with the driver and other providers
		return nil, fmt.Errorf("make the provider volume: %w", err)
	}
	path := filepath.Join(dir, SocketName)
	suffix := make([]byte, 4)
	if _, err := rand.Read(suffix); err != nil {
		return nil, err
	}
	temporary := filepath.Join(dir, ".aws."+hex.EncodeToString(suffix))
	if len(temporary) > maxSocketPath {
		return nil, fmt.Errorf("the provider volume's path is too long for a Unix socket: with the socket's name it may have %d bytes, and %s has %d",
			maxSocketPath, temporary, len(temporary))
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temporary, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen in the provider volume: %w", err)
	}
	l.SetUnlinkOnClose(false)
	s := &Socket{UnixListener: l, path: path}
	if err := s.moveInto(temporary); err != nil {
		return nil, errors.Join(err, l.Close(), os.Remove(temporary))
	}
	return s, nil
}

func (s *Socket) moveInto(temporary string) error {
	if err := os.Chmod(temporary, 0o600); err != nil {
		return fmt.Errorf("protect the socket: %w", err)
	}
	file, err := os.Lstat(temporary)
	if err != nil {
		return fmt.Errorf("look at the socket: %w", err)
	}
	s.file = file
	if err := os.Rename(temporary, s.path); err != nil {
		return fmt.Errorf("put the socket in place: %w", err)
	}
	return nil
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
	// A new file may have the inode of a removed one, hence the time.
	if !os.SameFile(file, s.file) || !file.ModTime().Equal(s.file.ModTime()) {
		return nil
	}
	if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the socket: %w", err)
	}
	return nil
}
