package doctor

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// listenerOf returns the pid of the process that listens at the other end, as the kernel noted it (unix(7),
// SO_PEERCRED): hidden if it runs in another container, -1 if that is not known.
func listenerOf(conn net.Conn) int {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return -1
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return -1
	}
	pid := -1
	if err := raw.Control(func(fd uintptr) {
		if peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			pid = int(peer.Pid)
		}
	}); err != nil {
		return -1
	}
	return pid
}
