package awssim

import (
	"crypto/tls"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
)

// proxiedHosts records the host names that clients reached through the proxy.
type proxiedHosts struct {
	mu    sync.Mutex
	hosts map[string]struct{}
}

func (p *proxiedHosts) add(host string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hosts == nil {
		p.hosts = map[string]struct{}{}
	}
	p.hosts[host] = struct{}{}
}

func (p *proxiedHosts) list() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.hosts))
}

// connect handles CONNECT. It terminates the tunnel to an AWS host name with a
// certificate for that name, and serves its requests like any others. It
// forwards nothing, so it refuses every other host.
func (s *Sim) connect(w http.ResponseWriter, r *http.Request) {
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil || port != "443" {
		http.Error(w, "awssim: CONNECT wants <AWS host name>:443", http.StatusForbidden)
		return
	}
	if _, ok := parseAWSHost(host); !ok {
		http.Error(w, "awssim: not a host name of AWS: "+host, http.StatusForbidden)
		return
	}
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		http.Error(w, "awssim: CONNECT needs HTTP/1.1", http.StatusHTTPVersionNotSupported)
		return
	}
	conn, buffered, err := hijacker.Hijack()
	if err != nil {
		return
	}
	s.proxied.add(host)
	if _, err := conn.Write([]byte("HTTP/1.1 200 Connection established\r\n\r\n")); err != nil {
		_ = conn.Close()
		return
	}
	config := s.serverTLS(func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.ca.leaf(host) })
	s.listener.deliver(tls.Server(&bufferedConn{Conn: conn, reader: buffered.Reader}, config))
}
