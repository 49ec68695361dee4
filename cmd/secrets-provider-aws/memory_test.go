package main

import (
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"
)

func TestMemoryDefaults(t *testing.T) {
	const mib = 1 << 20
	for name, tt := range map[string]struct {
		limit           int64
		set             options
		cache, inFlight int
	}{
		"no limit":               {math.MaxInt64, options{}, 64 * mib, 64 * mib},
		"the chart's limit":      {80 * mib, options{}, 30 * mib, 20 * mib},
		"a large limit":          {1024 * mib, options{}, 64 * mib, 64 * mib},
		"what the flags say":     {80 * mib, options{cacheMaxBytes: 5, inFlightMaxBytes: 7}, 5, 7},
		"one flag, and no limit": {math.MaxInt64, options{cacheMaxBytes: 5}, 5, 64 * mib},
	} {
		t.Run(name, func(t *testing.T) {
			o := tt.set
			o.withMemory(tt.limit)
			if o.cacheMaxBytes != tt.cache || o.inFlightMaxBytes != tt.inFlight {
				t.Errorf("cache %d and in flight %d, want %d and %d", o.cacheMaxBytes, o.inFlightMaxBytes, tt.cache, tt.inFlight)
			}
		})
	}
}

func TestMemoryLimitOfTheCgroup(t *testing.T) {
	for name, tt := range map[string]struct {
		file, text string
		want       int64
	}{
		"version 2":            {"memory.max", "134217728\n", 134217728},
		"version 2, no limit":  {"memory.max", "max\n", math.MaxInt64},
		"version 1":            {"memory/memory.limit_in_bytes", "134217728\n", 134217728},
		"version 1, no limit":  {"memory/memory.limit_in_bytes", "9223372036854771712\n", math.MaxInt64},
		"rubbish":              {"memory.max", "much\n", math.MaxInt64},
		"no cgroup file there": {"other", "1\n", math.MaxInt64},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			path := filepath.Join(root, tt.file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := cgroupLimit(root); got != tt.want {
				t.Errorf("limit %d, want %d", got, tt.want)
			}
			if os.Getenv("GOMEMLIMIT") != "" {
				return // it has the last word
			}
			defer debug.SetMemoryLimit(math.MaxInt64)
			heap := tt.want
			if heap < math.MaxInt64 {
				heap = heap / 8 * 5
			}
			if got := limitMemory(root); got != heap || debug.SetMemoryLimit(-1) != heap {
				t.Errorf("heap limit %d, want %d", got, heap)
			}
		})
	}
}
