package awsclient

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// The client sends a request in one write, and the server receives it unchanged.
func TestWholeRequests_SendInOneWrite(t *testing.T) {
	const body = `{"SecretId":"prod/db"}`
	arrived := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		content, _ := io.ReadAll(r.Body) // the test compares the content below
		arrived <- string(content)
	}))
	defer server.Close()
	var writes atomic.Int64
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return writeCounter{conn, &writes}, err
	}}
	defer transport.CloseIdleConnections()

	// Like the SDK's reader, this type hides from net/http that the body is in memory.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, struct{ io.Reader }{strings.NewReader(body)})
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = int64(len(body))
	resp, err := wholeRequests{&http.Client{Transport: transport}}.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := <-arrived; got != body {
		t.Errorf("the server received %q, want %q", got, body)
	}
	if n := writes.Load(); n != 1 {
		t.Errorf("%d writes, want one", n)
	}
}

type writeCounter struct {
	net.Conn
	writes *atomic.Int64
}

func (c writeCounter) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}
