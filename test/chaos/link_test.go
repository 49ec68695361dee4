package main

import (
	"io"
	"net"
	"testing"
	"time"
)

// echo is a server that sends back what it gets.
func echo(t *testing.T) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	return l.Addr().String()
}

func dial(t *testing.T, l *link) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask sends a byte and gives the error of waiting for it to come back.
func ask(t *testing.T, c net.Conn, within time.Duration) error {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write([]byte{1}); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 1))
	return err
}

func TestLink(t *testing.T) {
	l, err := newLink(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	const long, short = 20 * time.Second, 50 * time.Millisecond
	isTimeout := func(err error) bool { n, ok := err.(net.Error); return ok && n.Timeout() }
	good := func(what string, c net.Conn) {
		t.Helper()
		if err := ask(t, c, long); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}

	old := dial(t, l)
	good("a connection", old)

	l.silence(false)
	if err := ask(t, old, short); !isTimeout(err) {
		t.Errorf("half open: the old connection gives %v, want nothing", err)
	}
	good("half open: a new connection", dial(t, l))
	l.mend()
	if err := ask(t, old, long); err == nil || isTimeout(err) {
		t.Errorf("the dead connection gives %v after its end, want a reset", err)
	}

	l.silence(true)
	if err := ask(t, dial(t, l), short); !isTimeout(err) {
		t.Errorf("black hole: a new connection gives %v, want nothing", err)
	}
	l.mend()

	kept := dial(t, l)
	good("after the black hole", kept)
	l.cut()
	if err := ask(t, kept, long); err == nil || isTimeout(err) {
		t.Errorf("cut: the old connection gives %v, want a reset", err)
	}
	if c, err := net.Dial("tcp", l.address()); err == nil { // the reset may come that early
		if err := ask(t, c, long); err == nil || isTimeout(err) {
			t.Errorf("cut: a new connection gives %v, want a reset", err)
		}
		_ = c.Close()
	}
	l.mend()
	good("after the cut", dial(t, l))
}
