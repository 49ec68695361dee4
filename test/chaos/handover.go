package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// longWait is more than a mount may wait for a hand-over.
const longWait = 2 * time.Second

// What test/node/modules/driver/mounts takes and gives. That program is of another module, the driver's.
type (
	mountsConfig struct {
		Volume        string
		Requests      []mountsRequest
		Timeout, Long time.Duration
	}
	mountsRequest struct {
		Attributes, Secrets, TargetPath, Permission string
	}
	mountsResult struct {
		Mounts, Failed, Waited int
		Longest                time.Duration
		Errors                 []string
	}
)

// playHandovers has provider after provider take the socket over from the one before, as an upgrade with maxSurge
// does, while the driver's own client library mounts volumes all the time.
func playHandovers(ctx context.Context, o options, dir string, out io.Writer) error {
	began := time.Now()
	crashes := make(chan error, o.handover+1)
	w, err := newWorld(o.provider, dir, func(err error) { crashes <- err })
	if err != nil {
		return err
	}
	defer w.close()
	if err := w.start(ctx); err != nil {
		return err
	}
	stream, err := w.startStream(ctx, o.driver)
	if err != nil {
		return err
	}
	done := 0
	for done < o.handover && err == nil && ctx.Err() == nil && len(crashes) == 0 {
		if err = errors.Join(w.handOver(ctx), stream.next()); err == nil {
			done++
		}
	}
	res, bad := stream.end()
	err = errors.Join(err, bad, w.end())
	for len(crashes) > 0 {
		err = errors.Join(err, <-crashes)
	}
	fmt.Fprintf(out, "hand-over: %d replacements in %s, %d mounts through the driver's library: %d failed, %d waited longer than %s, longest %s\n",
		done, time.Since(began).Round(time.Second), res.Mounts, res.Failed, res.Waited, longWait, res.Longest.Round(time.Millisecond))
	for _, e := range res.Errors {
		fmt.Fprintln(out, "    "+e)
	}
	if err == nil && res.Failed+res.Waited > 0 {
		err = fmt.Errorf("%d mounts failed, and %d waited longer than %s", res.Failed, res.Waited, longWait)
	}
	return errors.Join(err, ctx.Err())
}

// handOver starts a provider beside the one that runs, and ends that.
func (w *world) handOver(ctx context.Context) error {
	old := w.current()
	if err := w.start(ctx); err != nil {
		return err
	}
	old.terminate()
	if err := old.wait(); err != nil {
		return err
	}
	return os.Remove(old.log)
}

// stream is the program that mounts.
type stream struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startStream starts the program with two pods of each identity.
func (w *world) startStream(ctx context.Context, program string) (*stream, error) {
	cfg := mountsConfig{Volume: w.volume, Timeout: callTimeout, Long: longWait}
	k := &kubelet{world: w}
	for i := range slices.Repeat(identities, 2) {
		p := newPod(fmt.Sprintf("stream-%d", i), i%len(identities), false)
		req, err := k.request(p)
		if err != nil {
			return nil, err
		}
		target := w.file(filepath.Join("pods", p.name))
		if err := os.MkdirAll(target, 0o755); err != nil {
			return nil, err
		}
		cfg.Requests = append(cfg.Requests, mountsRequest{req.GetAttributes(), req.GetSecrets(), target, req.GetPermission()})
	}
	s := &stream{cmd: exec.CommandContext(context.WithoutCancel(ctx), program)} // the end of its input ends it
	s.cmd.Stderr = os.Stderr
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	pipe, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = bufio.NewReader(pipe)
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start what mounts through the driver's library (make handover builds it): %w", err)
	}
	if err := json.NewEncoder(s.in).Encode(cfg); err != nil {
		return nil, errors.Join(err, s.in.Close(), s.cmd.Wait())
	}
	return s, s.next() // all are mounted before the first hand-over
}

// next waits until every pod has been mounted once more.
func (s *stream) next() error {
	if _, err := fmt.Fprintln(s.in, "next"); err != nil {
		return err
	}
	_, err := s.out.ReadString('\n')
	return err
}

// end ends the stream and gives what it counted.
func (s *stream) end() (mountsResult, error) {
	var res mountsResult
	err := errors.Join(s.in.Close(), json.NewDecoder(s.out).Decode(&res), s.cmd.Wait())
	return res, err
}
