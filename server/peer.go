package server

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// refusalLogInterval is how often the log tells of refused connections: a process that dials in a loop must not fill it.
const refusalLogInterval = time.Minute

// peerCredentials lets only root connect, and the provider's own user, as which tests and the demo run.
//
// The socket's mode says the same, but a mode is gone after one chmod, and a mounted directory can carry any.
// The kernel notes the peer's uid when it connects (unix(7), SO_PEERCRED): the peer cannot choose it.
// A uid that the provider's user namespace does not map shows as 65534 and is refused.
type peerCredentials struct {
	credentials.TransportCredentials // plaintext, as the driver dials

	own     int // the provider's uid
	log     *slog.Logger
	seldom  rate.Sometimes
	refused atomic.Int64 // connections since the start
}

// peer is the user and the process at the other end of a connection; a uid of -1 is not known.
type peer struct{ uid, pid int }

func newPeerCredentials(log *slog.Logger) *peerCredentials {
	return &peerCredentials{
		TransportCredentials: insecure.NewCredentials(),
		own:                  os.Geteuid(), log: log,
		seldom: rate.Sometimes{Interval: refusalLogInterval},
	}
}

// ServerHandshake implements credentials.TransportCredentials. gRPC closes the connection after an error.
// It runs before anything is read from the peer.
func (p *peerCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	from, err := socketPeer(conn)
	if err == nil && from.uid != 0 && from.uid != p.own {
		err = fmt.Errorf("uid %d may not connect", from.uid)
	}
	if err != nil {
		refused := p.refused.Add(1)
		p.seldom.Do(func() {
			p.log.Warn("refused a connection to the socket: only root, as which the CSI driver runs, may connect (check the mode of the socket and of its directory)",
				"peer_uid", from.uid, "peer_pid", from.pid, "refused_so_far", refused, keyError, err.Error())
		})
		return nil, nil, err
	}
	return p.TransportCredentials.ServerHandshake(conn)
}

// Clone implements credentials.TransportCredentials. gRPC clones the credentials of clients only.
func (p *peerCredentials) Clone() credentials.TransportCredentials { return p }
