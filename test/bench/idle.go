package main

import (
	"context"
	"os"
	"time"
)

const mib = 1 << 20

// measureIdle starts the provider and sends it no mounts.
func measureIdle(ctx context.Context, l *lab) ([]measurement, error) {
	var served, resident sample
	err := l.inWorld(ctx, awsDelay, func(w *world) error {
		for range l.pick(7, 3) {
			err := w.withProvider(ctx, func(p *provider) error {
				served.add(p.served)
				time.Sleep(time.Second) // let it become idle
				rss, err := residentMiB(p.pid, residentNow)
				resident = append(resident, rss)
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	binary, err := os.Stat(l.provider)
	if err != nil {
		return nil, err
	}
	return []measurement{
		{What: "time to serve", Value: served.median(), Unit: "ms", Note: "from exec to the first response to Version on the socket"},
		{What: "RSS", Value: resident.median(), Unit: "MiB"},
		{What: "binary", Value: float64(binary.Size()) / mib, Unit: "MiB"},
	}, nil
}
