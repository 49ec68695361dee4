package node

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// process identifies one process of this boot. A pid alone is not enough, because pids are reused.
type process struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot, field 22 of /proc/PID/stat
}

// identify returns the process that currently has the pid.
func identify(pid int) (process, error) {
	_, start, err := procStat(pid)
	return process{pid, start}, err
}

// alive reports whether the process runs. A zombie does not. On machines with a slow init, a killed process still accepts signal 0
// for seconds.
func (p process) alive() bool {
	if p.PID == 0 {
		return false
	}
	state, start, err := procStat(p.PID)
	return err == nil && start == p.Start && state != 'Z' && state != 'X'
}

// kill kills the process at once, if the pid still belongs to it.
func (p process) kill() error {
	if !p.alive() {
		return nil
	}
	if err := syscall.Kill(p.PID, syscall.SIGKILL); err != nil && err != syscall.ESRCH {
		return fmt.Errorf("kill %d: %w", p.PID, err)
	}
	return nil
}

// procStat reads the state and the start time from /proc/PID/stat (proc_pid_stat(5)).
func procStat(pid int) (state byte, start uint64, err error) {
	path := fmt.Sprintf("/proc/%d/stat", pid)
	stat, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, err
	}
	// The second field is the name in parentheses and may contain any character. Count from the end of the name.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return 0, 0, fmt.Errorf("%s: too short", path)
	}
	start, err = strconv.ParseUint(fields[19], 10, 64)
	return fields[0][0], start, err
}
