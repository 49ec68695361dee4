// Command testapp is the workload of the end-to-end tests. Its image contains nothing else. So it includes the few commands that a
// test runs with kubectl exec. Each command is also a link in /bin.
//
//	testapp [watch] [DIR...]   print each file of the folders, now and after each change, until stopped (the default)
//	testapp once FILE...       print files, then wait until stopped, like a process that reads only at its start
//	testapp notify DIR FILE... print each inotify event of the folder and of the files, and the files after the event of ..data
//	testapp cat FILE...        print files
//	testapp ls DIR...          list folders recursively: mode, uid:gid, size, path, and the target of a link
//	testapp get URL            print the response's status and body
//	testapp id                 print the user, the group and the capabilities of the process
//	testapp env                print the environment
//	testapp sleep DURATION     sleep; a number means seconds, infinity means forever
package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := run(ctx, os.Stdout, filepath.Base(os.Args[0]), os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, name string, arguments []string) error {
	commands := map[string]func([]string) error{
		"watch": func(folders []string) error { return watch(ctx, out, folders) },
		"once": func(files []string) error {
			err := cat(out, files)
			fmt.Fprintln(out) // a container's log has whole lines only
			<-ctx.Done()
			return err
		},
		"notify": func(paths []string) error { return notify(ctx, out, paths) },
		"cat":    func(files []string) error { return cat(out, files) },
		"ls":     func(folders []string) error { return list(out, folders) },
		"get":    func(urls []string) error { return get(ctx, out, strings.Join(urls, "")) },
		"id":     func([]string) error { return id(out) },
		"env":    func([]string) error { _, err := fmt.Fprintln(out, strings.Join(os.Environ(), "\n")); return err },
		"sleep":  func(durations []string) error { return sleep(ctx, durations) },
	}
	if command, ok := commands[name]; ok { // called through a link
		return command(arguments)
	}
	if len(arguments) > 0 {
		if command, ok := commands[arguments[0]]; ok {
			return command(arguments[1:])
		}
	}
	return watch(ctx, out, arguments)
}

// watch prints the files whenever they change: a line with the time, one line per file, and "end".
func watch(ctx context.Context, out io.Writer, folders []string) error {
	last := ""
	for {
		if now := snapshot(folders); now != last {
			fmt.Fprintf(out, "%s\n%send\n", time.Now().UTC().Format(time.RFC3339Nano), now)
			last = now
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// snapshot returns a line per file. It skips the folders that the kubelet's atomic writer keeps beside the links.
func snapshot(folders []string) string {
	var b strings.Builder
	for _, folder := range folders {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || path == folder {
				return err
			}
			if strings.HasPrefix(d.Name(), "..") {
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			info, err := os.Stat(path)
			if err == nil && info.IsDir() && !d.IsDir() { // a link to a folder: WalkDir does not enter it
				b.WriteString(snapshot([]string{path + "/"}))
			}
			if err != nil || info.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%s %s %q\n", info.Mode(), path, text)
			return nil
		})
		if err != nil {
			fmt.Fprintf(&b, "error %v\n", err)
		}
	}
	return b.String()
}

func cat(out io.Writer, files []string) error {
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if _, err := out.Write(text); err != nil {
			return err
		}
	}
	return nil
}

func list(out io.Writer, folders []string) error {
	for _, folder := range folders {
		if strings.HasPrefix(folder, "-") { // accept ls -lR: the output is the same
			continue
		}
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			owner := info.Sys().(*syscall.Stat_t)
			line := fmt.Sprintf("%s %d:%d %d %s", info.Mode(), owner.Uid, owner.Gid, info.Size(), path)
			if target, err := os.Readlink(path); err == nil {
				line += " -> " + target
			}
			_, err = fmt.Fprintln(out, line)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func get(ctx context.Context, out io.Writer, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	fmt.Fprintln(out, response.Status)
	_, err = io.Copy(out, response.Body)
	return err
}

func id(out io.Writer) error {
	fmt.Fprintf(out, "uid=%d gid=%d\n", os.Getuid(), os.Getgid())
	status, err := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "Cap") || strings.HasPrefix(line, "NoNewPrivs") || strings.HasPrefix(line, "Seccomp:") {
			fmt.Fprint(out, line)
		}
	}
	return err
}

func sleep(ctx context.Context, durations []string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for _, text := range durations {
		if text == "infinity" {
			<-ctx.Done()
			return nil
		}
		d, err := time.ParseDuration(text)
		if err != nil {
			if d, err = time.ParseDuration(text + "s"); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(d):
		}
	}
	return nil
}
