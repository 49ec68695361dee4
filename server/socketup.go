package server

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
)

// SocketUp is a metric that calls the socket at each scrape, as the probes do. Other than they, it also shows a socket
// that does not answer where no probe is set up.
func SocketUp(socketPath string) prometheus.Collector {
	return gauge("socket_up", "Whether the provider's socket answers a call, as the CSI driver makes it: 1 or 0.", func() float64 {
		ctx, cancel := context.WithTimeout(context.Background(), probeTimeout) // a scrape has no context
		defer cancel()
		if _, err := versionOf(ctx, "unix:"+socketPath); err != nil {
			return 0
		}
		return 1
	})
}
