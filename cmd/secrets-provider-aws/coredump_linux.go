package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// forbidCoreDumps keeps the process's memory, which holds secret values, out of core files for good.
//
// The limit of 0 stops files. It does not stop a node that pipes cores to a program (core(5)): for those the
// process is marked as not dumpable, which also closes its memory to a debugger without CAP_SYS_PTRACE, and
// gives its files in /proc to root (prctl(2), PR_SET_DUMPABLE).
func forbidCoreDumps() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core files: set RLIMIT_CORE to 0: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid core dumps: set PR_SET_DUMPABLE to 0: %w", err)
	}
	return nil
}
