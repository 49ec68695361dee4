package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Resource usage of a process. Sources: proc_pid_stat(5), proc_pid_status(5).

// clockTick is the unit of CPU time in /proc, on every Linux that Go supports.
const clockTick = 10 * time.Millisecond

// cpuTime returns the user and system CPU time of the process so far.
func cpuTime(pid int) (time.Duration, error) {
	data, err := os.ReadFile(procFile(pid, "stat"))
	if err != nil {
		return 0, err
	}
	// The program name is in parentheses and may contain any character.
	text := string(data)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	const utime, stime = 14 - 3, 15 - 3 // fields count from 1, and the first two are cut off
	var ticks int64
	for _, i := range []int{utime, stime} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read the CPU time of process %d: %w", pid, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * clockTick, nil
}

// Kinds of resident memory.
const (
	residentNow  = "VmRSS"
	residentPeak = "VmHWM"
)

// residentMiB returns resident memory of this kind, in MiB.
func residentMiB(pid int, kind string) (float64, error) {
	data, err := os.ReadFile(procFile(pid, "status"))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		value, ok := strings.CutPrefix(line, kind+":")
		if !ok {
			continue
		}
		kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		return kib / 1024, err
	}
	return 0, fmt.Errorf("process %d has no %s", pid, kind)
}

// openSockets counts the open sockets of the process, including those of the driver's connections.
func openSockets(pid int) (int, error) {
	dir := procFile(pid, "fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	sockets := 0
	for _, e := range entries {
		// A socket that was closed meanwhile does not count.
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil && strings.HasPrefix(to, "socket:") {
			sockets++
		}
	}
	return sockets, nil
}

// watchSockets samples the process until stop, which returns the largest number of sockets seen.
func watchSockets(pid int) (stop func() int) {
	end, most := make(chan struct{}), make(chan int)
	go func() {
		peak := 0
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			n, _ := openSockets(pid) // 0 if the process has exited
			peak = max(peak, n)
			select {
			case <-ticker.C:
			case <-end:
				most <- peak
				return
			}
		}
	}()
	return func() int {
		close(end)
		return <-most
	}
}

// loadAverage returns the load average of the last minute.
func loadAverage() string {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	minute, _, _ := strings.Cut(string(data), " ")
	return minute
}

func procFile(pid int, name string) string {
	return fmt.Sprintf("/proc/%d/%s", pid, name)
}
