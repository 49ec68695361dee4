package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"unsafe"
)

// eventNames has the events that notify asks for, and the flags of each event.
var eventNames = []struct {
	bit  uint32
	name string
}{
	{syscall.IN_CREATE, "IN_CREATE"}, {syscall.IN_MODIFY, "IN_MODIFY"}, {syscall.IN_ATTRIB, "IN_ATTRIB"}, {syscall.IN_MOVED_FROM, "IN_MOVED_FROM"},
	{syscall.IN_MOVED_TO, "IN_MOVED_TO"}, {syscall.IN_DELETE, "IN_DELETE"}, {syscall.IN_DELETE_SELF, "IN_DELETE_SELF"},
	{syscall.IN_MOVE_SELF, "IN_MOVE_SELF"}, {syscall.IN_IGNORED, "IN_IGNORED"}, {syscall.IN_ISDIR, "IN_ISDIR"},
}

// notify watches a folder and some of its files with inotify. It prints a line for each event: the watched path, the event, and the
// name in the folder. When ..data is replaced, it prints the files: "read /mnt/secrets/password correct-horse".
func notify(ctx context.Context, out io.Writer, paths []string) error {
	if len(paths) == 0 {
		return errors.New("usage: notify DIR FILE")
	}
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC)
	if err != nil {
		return fmt.Errorf("inotify: %w", err)
	}
	var mask uint32
	for _, e := range eventNames {
		mask |= e.bit &^ (syscall.IN_IGNORED | syscall.IN_ISDIR)
	}
	watched := map[int32]string{}
	for _, path := range paths {
		watch, err := syscall.InotifyAddWatch(fd, path, mask)
		if err != nil {
			return fmt.Errorf("inotify %s: %w", path, err)
		}
		watched[int32(watch)] = path
	}
	fmt.Fprintln(out, "watching", strings.Join(paths, " "))
	events := make(chan error, 1)
	go func() { events <- printEvents(out, fd, watched, paths) }()
	select {
	case <-ctx.Done():
		return nil
	case err := <-events:
		return err
	}
}

func printEvents(out io.Writer, fd int, watched map[int32]string, paths []string) error {
	buffer := make([]byte, 64<<10)
	for {
		n, err := syscall.Read(fd, buffer)
		if err != nil {
			return fmt.Errorf("inotify: %w", err)
		}
		for at := 0; at+syscall.SizeofInotifyEvent <= n; {
			event := (*syscall.InotifyEvent)(unsafe.Pointer(&buffer[at]))
			at += syscall.SizeofInotifyEvent
			name := string(bytes.TrimRight(buffer[at:at+int(event.Len)], "\x00"))
			at += int(event.Len)
			var kinds []string
			for _, e := range eventNames {
				if event.Mask&e.bit != 0 {
					kinds = append(kinds, e.name)
				}
			}
			fmt.Fprintln(out, strings.TrimRight(strings.Join([]string{"event", watched[event.Wd], strings.Join(kinds, "|"), name}, " "), " "))
			if event.Mask&syscall.IN_MOVED_TO == 0 || name != "..data" {
				continue
			}
			for _, file := range paths[1:] {
				text, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				fmt.Fprintf(out, "read %s %s\n", file, text)
			}
		}
	}
}
