package main

import (
	"context"
	"net"
	"sync"
	"time"
)

// link is the network between the provider and a server: a TCP proxy that cuts, delays and swallows.
type link struct {
	server   string // host:port
	listener net.Listener
	done     sync.WaitGroup

	mu         sync.Mutex
	conns      map[*pair]struct{}
	delay      time.Duration // of each chunk of bytes, in each direction
	refusing   bool          // new connections are reset
	blackholed bool          // new connections are dead
}

// pair is one connection through the link.
type pair struct {
	client, server *net.TCPConn
	dead           bool // what is sent is swallowed, and nothing comes back; under link.mu
}

func newLink(server string) (*link, error) {
	l := &link{server: server, conns: map[*pair]struct{}{}}
	var err error
	if l.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	l.done.Go(l.accept)
	return l, nil
}

func (l *link) close() {
	_ = l.listener.Close() // ends accept
	l.resetAll()
	l.done.Wait()
}

// address is where the provider finds the server.
func (l *link) address() string { return l.listener.Addr().String() }

func (l *link) accept() {
	for {
		conn, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.done.Go(func() { l.carry(conn.(*net.TCPConn)) })
	}
}

// carry takes the bytes of one connection from side to side until one of them ends it.
func (l *link) carry(client *net.TCPConn) {
	l.mu.Lock()
	refusing := l.refusing
	l.mu.Unlock()
	if refusing {
		reset(client)
		return
	}
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", l.server)
	if err != nil {
		reset(client)
		return
	}
	p := &pair{client: client, server: server.(*net.TCPConn)}
	l.mu.Lock()
	p.dead = l.blackholed
	l.conns[p] = struct{}{}
	l.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() {
		l.pump(p, p.client, p.server)
		l.drop(p) // the client has gone, which it is let do while the connection is dead too
	})
	both.Go(func() {
		if l.pump(p, p.server, p.client); !l.isDead(p) {
			l.drop(p)
		}
	})
	both.Wait()
	l.drop(p)
}

func (l *link) pump(p *pair, from, to *net.TCPConn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			l.mu.Lock()
			delay := l.delay
			l.mu.Unlock()
			time.Sleep(delay)
			if !l.isDead(p) {
				if _, err := to.Write(buf[:n]); err != nil {
					return
				}
			}
		}
		if err != nil {
			return
		}
	}
}

func (l *link) isDead(p *pair) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return p.dead
}

// drop ends a connection.
func (l *link) drop(p *pair) {
	l.mu.Lock()
	delete(l.conns, p)
	l.mu.Unlock()
	_ = p.client.Close()
	_ = p.server.Close()
}

// reset closes a connection so that the other side sees an error and not an end.
func reset(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

// slow sets the delay of each chunk of bytes.
func (l *link) slow(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = d
}

// cut resets all connections and, until mend, each new one.
func (l *link) cut() {
	l.mu.Lock()
	l.refusing = true
	l.mu.Unlock()
	l.resetAll()
}

// silence has the connections that are there go dead, and until mend each new one too where that is asked for.
func (l *link) silence(newToo bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blackholed = newToo
	for p := range l.conns {
		p.dead = true
	}
}

// mend ends all faults. Dead connections are reset: what they have swallowed does not come back.
func (l *link) mend() {
	l.mu.Lock()
	l.delay, l.refusing, l.blackholed = 0, false, false
	var dead []*pair
	for p := range l.conns {
		if p.dead {
			dead = append(dead, p)
		}
	}
	l.mu.Unlock()
	for _, p := range dead {
		reset(p.client)
		reset(p.server)
	}
}

func (l *link) resetAll() {
	l.mu.Lock()
	conns := make([]*pair, 0, len(l.conns))
	for p := range l.conns {
		conns = append(conns, p)
	}
	l.mu.Unlock()
	for _, p := range conns {
		reset(p.client)
		reset(p.server)
	}
}
