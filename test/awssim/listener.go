package awssim

import (
	"bufio"
	"crypto/tls"
	"net"
	"sync"
)

// awsListener accepts TCP connections and passes them to the HTTP server. With
// TLS on, it serves TLS to clients that begin with a TLS handshake. Clients that
// use the simulator as a proxy begin with plain HTTP. The proxy's tunnels return
// through this listener as new connections.
type awsListener struct {
	net.Listener
	ready  chan net.Conn
	closed chan struct{}
	once   sync.Once

	mu    sync.Mutex
	total int
	conns map[*countedConn]struct{}
}

// newAWSListener accepts connections from raw. A nil config means no TLS.
func newAWSListener(raw net.Listener, config *tls.Config) *awsListener {
	l := &awsListener{
		Listener: raw,
		ready:    make(chan net.Conn),
		closed:   make(chan struct{}),
		conns:    map[*countedConn]struct{}{},
	}
	go l.acceptAll(config)
	return l
}

// acceptAll accepts until Close. It reads the first byte of each connection in a
// separate goroutine, so that an idle client does not block others.
func (l *awsListener) acceptAll(config *tls.Config) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			l.shut()
			return
		}
		conn := l.register(raw)
		if config == nil {
			go l.deliver(conn)
			continue
		}
		go func() {
			peeked := &bufferedConn{Conn: conn, reader: bufio.NewReader(conn)}
			first, err := peeked.reader.Peek(1)
			switch {
			case err != nil:
				_ = conn.Close()
			case first[0] == 0x16: // the record type of a TLS handshake
				l.deliver(tls.Server(peeked, config))
			default:
				l.deliver(peeked)
			}
		}()
	}
}

// deliver passes a connection to the HTTP server.
func (l *awsListener) deliver(c net.Conn) {
	select {
	case l.ready <- c:
	case <-l.closed:
		_ = c.Close()
	}
}

// Accept returns the HTTP server's next connection.
func (l *awsListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close stops accepting.
func (l *awsListener) Close() error {
	l.shut()
	return l.Listener.Close()
}

func (l *awsListener) shut() { l.once.Do(func() { close(l.closed) }) }

func (l *awsListener) register(raw net.Conn) *countedConn {
	c := &countedConn{Conn: raw, owner: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total++
	l.conns[c] = struct{}{}
	return c
}

func (l *awsListener) counts() (open, total int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns), l.total
}

// cutAll closes every connection, including those that the HTTP server does not
// know: proxy tunnels and connections without a first byte.
func (l *awsListener) cutAll() {
	l.mu.Lock()
	conns := make([]*countedConn, 0, len(l.conns))
	for c := range l.conns {
		conns = append(conns, c)
	}
	l.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}

// countedConn is one TCP connection. Close removes it from the count.
type countedConn struct {
	net.Conn
	owner *awsListener
}

func (c *countedConn) Close() error {
	c.owner.mu.Lock()
	delete(c.owner.conns, c)
	c.owner.mu.Unlock()
	return c.Conn.Close()
}

// bufferedConn is a connection with some bytes already read.
type bufferedConn struct {
	net.Conn
	reader *bufio.Reader
}

func (c *bufferedConn) Read(p []byte) (int, error) { return c.reader.Read(p) }
