package awsclient

import (
	"bytes"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// wholeRequests sends a request in one piece. net/http writes the head of one by itself, in a TLS record and
// a system call of its own, unless it knows that the body lies in memory, and it does not know so of the
// SDK's bodies (transferWriter.FlushHeaders). None here is larger than a few kilobytes.
//
// It also keeps the connection of a quick response: the SDK closes its body as soon as the response's head is
// there, and net/http, where it still looks for more of that body, takes the end for an error and hangs up.
type wholeRequests struct{ client aws.HTTPClient }

// Do implements aws.HTTPClient.
func (w wholeRequests) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.ContentLength > 0 {
		body := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			return nil, fmt.Errorf("read the request's body: %w", err)
		}
		_ = r.Body.Close() // it was read from memory
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return w.client.Do(r)
}
