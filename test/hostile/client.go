package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
)

// bytesCodec sends and receives messages as the bytes that they are.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "proto" }

func (bytesCodec) Marshal(v any) ([]byte, error) {
	text, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("not bytes but %T", v)
	}
	return text, nil
}

func (bytesCodec) Unmarshal(data []byte, v any) error {
	into, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("not bytes but %T", v)
	}
	*into = append((*into)[:0], data...)
	return nil
}

// dialCalls makes the connections that calls share: several, as each is one TCP-like stream.
func dialCalls(socket string, count int) ([]*grpc.ClientConn, error) {
	conns := make([]*grpc.ClientConn, count)
	for i := range conns {
		var err error
		conns[i], err = grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"),
			grpc.WithDefaultCallOptions(grpc.ForceCodec(bytesCodec{}), grpc.MaxCallRecvMsgSize(64<<20)), grpc.WithDisableRetry())
		if err != nil {
			return nil, err
		}
	}
	return conns, nil
}

// How long a raw connection waits for the provider's last word, and how long that may take to end it once its own
// side is closed.
const (
	rawTimeout = 50 * time.Millisecond
	rawEnd     = 30 * time.Second
)

// reply is what a raw connection was told of one of its calls.
type reply struct {
	code    codes.Code
	message string
}

// sendRaw writes text to a connection of its own, closes its side, and gives what the provider said of calls.
// The provider has to end the connection then.
func sendRaw(ctx context.Context, socket string, text []byte) (replies []reply, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close() }()
	unix, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.New("not a Unix connection")
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		_ = conn.SetWriteDeadline(time.Now().Add(rawEnd)) // nothing is closed yet
		_, _ = conn.Write(text)                           // the provider may have closed it before the end
		if framer := http2.NewFramer(conn, nil); framer.WritePing(false, ping) != nil {
			return
		}
	}()
	read := readReplies(conn, &replies, rawTimeout)
	<-written
	if read { // it still waits for something
		_ = unix.CloseWrite() // it may have ended
		if readReplies(conn, &replies, rawEnd) {
			return replies, fmt.Errorf("the provider keeps a connection %s after its end", rawEnd)
		}
	}
	return replies, nil
}

// ping is the last that a raw connection asks.
var ping = [8]byte{'t', 'h', 'e', ' ', 'e', 'n', 'd'}

// readReplies reads until the connection ends, and reports whether it has not after a time without a word, or
// once the ping has come back.
func readReplies(conn net.Conn, replies *[]reply, timeout time.Duration) (open bool) {
	framer := http2.NewFramer(nil, conn)
	framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		_ = conn.SetReadDeadline(time.Now().Add(timeout)) // a connection that is closed tells when it is read
		frame, err := framer.ReadFrame()
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
			return true
		}
		if err != nil && !errors.As(err, new(http2.StreamError)) {
			return false
		}
		switch f := frame.(type) {
		case *http2.PingFrame:
			if f.IsAck() && f.Data == ping && timeout == rawTimeout {
				return true
			}
		case *http2.MetaHeadersFrame:
			if r, ok := replyOf(f); ok {
				*replies = append(*replies, r)
			}
		}
	}
}

func replyOf(f *http2.MetaHeadersFrame) (r reply, ok bool) {
	for _, h := range f.Fields {
		switch h.Name {
		case "grpc-status":
			n, err := strconv.ParseUint(h.Value, 10, 32)
			ok = err == nil
			r.code = codes.Code(n)
		case "grpc-message":
			r.message = h.Value
		}
	}
	return r, ok
}
