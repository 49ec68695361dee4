package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
)

// collector is an OpenTelemetry collector that drops what it gets. It runs in the benchmark's process.
type collector struct {
	*httptest.Server
	bytes atomic.Int64
}

func newCollector() *collector {
	c := &collector{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body) // the provider's exporter repeats a request that failed
		c.bytes.Add(n)
	}))
	return c
}

// Close also prints how much arrived, which shows that the provider did send traces.
func (c *collector) Close() {
	c.Server.Close()
	fmt.Fprintf(os.Stderr, "bench: %d bytes of traces\n", c.bytes.Load())
}
