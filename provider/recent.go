package provider

import (
	"fmt"
	"time"

	"github.com/maypok86/otter/v2"
)

// recentNames remembers names for a while, up to a number of them.
type recentNames struct {
	names *otter.Cache[string, struct{}]
}

// Mounted volumes are remembered, so that a republish can be told from a first mount: far more than a node
// has, for longer than the one to two minutes between two republishes. The values of a forgotten volume are
// read again, nothing worse.
const (
	maxVolumes     = 1 << 14
	rememberVolume = time.Hour
)

func newVolumes(now func() time.Time) (*recentNames, error) {
	return newRecentNames(maxVolumes, otter.ExpiryAccessing[string, struct{}](rememberVolume), now)
}

func newRecentNames(limit int, expiry otter.ExpiryCalculator[string, struct{}], now func() time.Time) (*recentNames, error) {
	names, err := otter.New(&otter.Options[string, struct{}]{
		MaximumSize:      limit,
		ExpiryCalculator: expiry,
		Clock:            clock{now},
		Executor:         func(task func()) { task() },
	})
	if err != nil {
		return nil, fmt.Errorf("make a list of recent names: %w", err)
	}
	return &recentNames{names}, nil
}

func (r *recentNames) contains(name string) bool {
	_, ok := r.names.GetIfPresent(name)
	return ok
}

func (r *recentNames) add(name string) { r.names.Set(name, struct{}{}) }

func (r *recentNames) remove(name string) { r.names.Invalidate(name) }
