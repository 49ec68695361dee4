package awssim

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// Admin controls a simulator in another process through its admin API.
type Admin struct {
	// URL is the simulator's URL.
	URL string
	// CA is the PEM of the simulator's CA. Nil: the system's CAs.
	CA []byte
}

// Calls returns the counts and the log of all calls since the last Reset.
func (a Admin) Calls(ctx context.Context) (AdminCalls, error) {
	var out AdminCalls
	return out, a.do(ctx, http.MethodGet, "calls", nil, &out)
}

// Reset clears the call log.
func (a Admin) Reset(ctx context.Context) error {
	return a.do(ctx, http.MethodPost, "reset", nil, nil)
}

// Connections counts the AWS listener's TCP connections. Each request of
// this client counts as one, and is closed afterwards.
func (a Admin) Connections(ctx context.Context) (open, total int, err error) {
	var out struct{ Open, Total int }
	err = a.do(ctx, http.MethodGet, "connections", nil, &out)
	return out.Open, out.Total, err
}

// Inject adds a fault. remove removes it.
func (a Admin) Inject(ctx context.Context, f Fault) (remove func(context.Context) error, err error) {
	var out struct{ ID int }
	if err := a.do(ctx, http.MethodPost, "faults", f, &out); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		return a.do(ctx, http.MethodDelete, "faults/"+strconv.Itoa(out.ID), nil, nil)
	}, nil
}

// SetQuota adds or replaces a quota. Its buckets start full.
func (a Admin) SetQuota(ctx context.Context, q Quota) error {
	return a.do(ctx, http.MethodPut, "quota", q, nil)
}

// SetRole adds or replaces a role.
func (a Admin) SetRole(ctx context.Context, r Role) error {
	return a.do(ctx, http.MethodPut, "role", r, nil)
}

// PutSecret sets the current value of a secret and creates the secret if needed.
func (a Admin) PutSecret(ctx context.Context, region, name, value string) error {
	return a.do(ctx, http.MethodPut, "secret", adminValue{region, name, value}, nil)
}

// PutParameter sets the value of a parameter and creates the parameter if needed.
func (a Admin) PutParameter(ctx context.Context, region, name, value string) error {
	return a.do(ctx, http.MethodPut, "parameter", adminValue{region, name, value}, nil)
}

// TagSecret replaces the tags of a secret: key → value.
func (a Admin) TagSecret(ctx context.Context, region, name string, tags map[string]string) error {
	return a.do(ctx, http.MethodPut, "tags", adminTags{region, name, tags}, nil)
}

// RemoveSecret deletes a secret at once. It returns an error if there is none.
func (a Admin) RemoveSecret(ctx context.Context, region, name string) error {
	return a.do(ctx, http.MethodDelete, "secret", adminName{region, name}, nil)
}

// RemoveParameter deletes a parameter. It returns an error if there is none.
func (a Admin) RemoveParameter(ctx context.Context, region, name string) error {
	return a.do(ctx, http.MethodDelete, "parameter", adminName{region, name}, nil)
}

func (a Admin) do(ctx context.Context, method, path string, in, out any) error {
	// Ignore the environment's proxy, which may be the simulator itself. Do not
	// keep connections, because they would count in the tests' connection counts.
	transport := &http.Transport{DisableKeepAlives: true}
	if a.CA != nil {
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(a.CA) {
			return errors.New("awssim admin: the CA is not PEM")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("awssim admin: %w", err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.URL+adminPath+path, body)
	if err != nil {
		return fmt.Errorf("awssim admin: %w", err)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return fmt.Errorf("awssim admin: %w", err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("awssim admin: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("awssim admin: %s %s: %s: %s", method, path, resp.Status, data)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(data, out)
}
