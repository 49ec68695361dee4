package main

import (
	"math"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
)

// defaultBytes is the default of --cache-max-bytes and --in-flight-max-bytes without a memory limit, and their largest
// with one.
const defaultBytes = 64 << 20

// limitMemory keeps Go's heap below the memory limit of the container, as GOMEMLIMIT says or, where that is not set,
// at five eighths of the cgroup's limit. It returns the limit of the heap in bytes, math.MaxInt64 for none.
func limitMemory(cgroup string) int64 {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 && os.Getenv("GOMEMLIMIT") == "" {
		if of := cgroupLimit(cgroup); of < math.MaxInt64 {
			limit = of / 8 * 5
			debug.SetMemoryLimit(limit)
		}
	}
	return limit
}

// cgroupLimit reads the memory limit of the process's own cgroup below root, as a container sees it (cgroup v2, then
// v1): math.MaxInt64 for none.
func cgroupLimit(root string) int64 {
	for _, path := range []string{"/memory.max", "/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(root + path)
		if err != nil {
			continue
		}
		// Version 2 writes "max" for none, version 1 a number near 2^63.
		if limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && limit > 0 && limit < 1<<60 {
			return limit
		}
	}
	return math.MaxInt64
}

// withMemory fills in what the flags leave to the memory limit: three eighths of it for cached values, a quarter for
// requests in progress. The rest is for the program's own data and for what the garbage collector has not yet freed.
func (o *options) withMemory(limit int64) {
	if o.cacheMaxBytes == 0 {
		o.cacheMaxBytes = int(min(limit/8*3, defaultBytes))
	}
	if o.inFlightMaxBytes == 0 {
		o.inFlightMaxBytes = int(min(limit/4, defaultBytes))
	}
}
