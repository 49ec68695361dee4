//go:build !linux

package server

import (
	"net"
	"os"
)

// socketPeer takes every peer for the provider's own user: nodes run Linux, and elsewhere only developers do.
func socketPeer(net.Conn) (peer, error) { return peer{uid: os.Geteuid()}, nil }
