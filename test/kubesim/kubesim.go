// Package kubesim is a Kubernetes API server for tests that need only three kinds of object:
// ServiceAccounts with their annotations and nodes with their labels, read one by one, and Events, written and repeated.
// It returns only metadata, as the real server does for a metadata client. It counts requests,
// refuses all other requests as RBAC does, and can simulate an outage.
package kubesim

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"time"
)

// Sim is a running API server. Its methods may be called concurrently.
type Sim struct {
	server *httptest.Server
	delay  time.Duration

	mu      sync.Mutex
	objects map[string]map[string]any // request path → metadata
	calls   map[string]int
	refused map[string]int           // resource → HTTP status to respond with
	events  []*Event                 // in the order of their creation
	written chan struct{}            // closed and replaced at each write of an Event
	called  chan struct{}            // the same, at each request
	hanging map[string]chan struct{} // resource → closed when requests for it get a response again

	whole     map[string]wholeObject // request path → object
	forbidden map[string]bool        // "create serviceaccounts/token" → whether an access review denies it
}

// Start starts an empty API server that waits for delay before each response.
func Start(delay time.Duration) *Sim {
	s := &Sim{delay: delay, objects: map[string]map[string]any{}, calls: map[string]int{}, refused: map[string]int{},
		written: make(chan struct{}), called: make(chan struct{}), hanging: map[string]chan struct{}{},
		whole: map[string]wholeObject{}, forbidden: map[string]bool{}}
	s.server = httptest.NewServer(http.HandlerFunc(s.serve))
	return s
}

// Close stops the server.
func (s *Sim) Close() { s.server.Close() }

// URL is the address of the server.
func (s *Sim) URL() string { return s.server.URL }

// WriteKubeconfig writes a kubeconfig for the server.
func (s *Sim) WriteKubeconfig(path string) error {
	const form = `apiVersion: v1
kind: Config
current-context: sim
clusters: [{name: sim, cluster: {server: %q}}]
users: [{name: sim, user: {token: sim}}]
contexts: [{name: sim, context: {cluster: sim, user: sim}}]
`
	return os.WriteFile(path, fmt.Appendf(nil, form, s.URL()), 0o600)
}

// SetServiceAccount creates or replaces a ServiceAccount.
func (s *Sim) SetServiceAccount(namespace, name string, annotations map[string]string) {
	s.set("/api/v1/namespaces/"+namespace+"/serviceaccounts/"+name, map[string]any{
		"namespace": namespace, "name": name, "annotations": annotations,
	})
}

// SetNode creates or replaces a node.
func (s *Sim) SetNode(name string, labels map[string]string) {
	s.set("/api/v1/nodes/"+name, map[string]any{"name": name, "labels": labels})
}

func (s *Sim) set(path string, metadata map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[path] = metadata
}

// Refuse sets the HTTP status for every request for a resource ("serviceaccounts", "nodes", "events"): 403 is a
// missing permission, 503 an outage, and 0 ends the refusal.
func (s *Sim) Refuse(resource string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused[resource] = status
}

// Calls returns the number of requests since the start, by "GET serviceaccounts", "POST events" and so on. "other"
// counts requests that the provider must not send.
func (s *Sim) Calls() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.calls)
}

// Await waits for n requests of a kind that Calls counts.
func (s *Sim) Await(kind string, n int) {
	for {
		s.mu.Lock()
		calls, called := s.calls[kind], s.called
		s.mu.Unlock()
		if calls >= n {
			return
		}
		<-called
	}
}

// Hang gives requests for a resource no response until release is called.
func (s *Sim) Hang(resource string) (release func()) {
	hanging := make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hanging[resource] = hanging
	return sync.OnceFunc(func() {
		close(hanging)
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.hanging, resource)
	})
}

func (s *Sim) serve(w http.ResponseWriter, r *http.Request) {
	if s.delay > 0 {
		time.Sleep(s.delay)
	}
	if s.serveWhole(w, r) {
		return
	}
	resource := resourceOf(r)
	s.mu.Lock()
	if resource == "" {
		s.calls["other"]++
	} else {
		s.calls[r.Method+" "+resource]++
	}
	metadata, found := s.objects[r.URL.Path]
	status, hanging := s.refused[resource], s.hanging[resource]
	close(s.called)
	s.called = make(chan struct{})
	s.mu.Unlock()
	if hanging != nil {
		<-hanging
	}

	switch {
	case resource == "":
		refuse(w, http.StatusForbidden, "Forbidden", r.Method+" "+r.URL.Path+" is forbidden")
	case status == http.StatusForbidden:
		refuse(w, status, "Forbidden", resource+" is forbidden: User cannot get resource")
	case status != 0:
		refuse(w, status, "ServiceUnavailable", "the server is currently unable to handle the request")
	case resource == "events":
		s.serveEvent(w, r)
	case !found:
		refuse(w, http.StatusNotFound, "NotFound", resource+" not found")
	default:
		respond(w, http.StatusOK, map[string]any{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": metadata})
	}
}

func resourceOf(r *http.Request) string {
	if eventPath.MatchString(r.URL.Path) && (r.Method == http.MethodPost || r.Method == http.MethodPatch) {
		return "events"
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, "/api/v1/"), "/")
	switch {
	case r.Method != http.MethodGet:
		return ""
	case len(parts) == 2 && parts[0] == "nodes":
		return "nodes"
	case len(parts) == 4 && parts[0] == "namespaces" && parts[2] == "serviceaccounts":
		return "serviceaccounts"
	default:
		return ""
	}
}

func refuse(w http.ResponseWriter, code int, reason, message string) {
	respond(w, code, map[string]any{
		"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message,
	})
}

func respond(w http.ResponseWriter, code int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(body) // the client is gone
}
