//go:build !linux

package main

// forbidCoreDumps does nothing: nodes run Linux, and elsewhere only developers do.
func forbidCoreDumps() error { return nil }
