package server

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// socketPeer asks the kernel who connected.
func socketPeer(conn net.Conn) (peer, error) {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return peer{uid: -1}, errors.New("the connection is not a Unix socket")
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return peer{uid: -1}, fmt.Errorf("look at the connection: %w", err)
	}
	var credentials *unix.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		credentials, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		failed = err
	}
	if failed != nil {
		return peer{uid: -1}, fmt.Errorf("ask the kernel who connected: %w", failed)
	}
	return peer{uid: int(credentials.Uid), pid: int(credentials.Pid)}, nil
}
