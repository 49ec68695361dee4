package kubesim

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"time"
)

// Event is an Event that a client has written (events.k8s.io/v1).
type Event struct {
	Metadata            struct{ Namespace, Name string }
	EventTime           time.Time
	ReportingController string
	ReportingInstance   string
	Action              string
	Reason              string
	Type                string
	Note                string
	Regarding           struct{ APIVersion, Kind, Namespace, Name, UID string }
	Series              *Series
}

// Series says that an Event happened more than once.
type Series struct {
	Count            int
	LastObservedTime time.Time
}

// Events waits until n Events have been written and returns all of them, in the order of their creation. An error says
// which were.
func (s *Sim) Events(ctx context.Context, n int) ([]Event, error) {
	for {
		s.mu.Lock()
		written := s.written
		var all []Event
		for _, e := range s.events {
			all = append(all, *e)
		}
		s.mu.Unlock()
		if len(all) >= n {
			return all, nil
		}
		select {
		case <-written:
		case <-ctx.Done():
			return all, fmt.Errorf("%d Events of %d: %w: %+v", len(all), n, ctx.Err(), all)
		}
	}
}

// ForgetEvents removes all Events, as the API server does an hour later.
func (s *Sim) ForgetEvents() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = nil
}

var (
	eventPath     = regexp.MustCompile(`^/apis/events\.k8s\.io/v1/namespaces/([^/]+)/events(?:/([^/]+))?$`)
	eventName     = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	qualifiedName = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?$`)
)

// serveEvent creates or patches an Event.
func (s *Sim) serveEvent(w http.ResponseWriter, r *http.Request) {
	path := eventPath.FindStringSubmatch(r.URL.Path)
	s.mu.Lock()
	defer s.mu.Unlock()
	at := slices.IndexFunc(s.events, func(e *Event) bool { return e.Metadata.Namespace == path[1] && e.Metadata.Name == path[2] })
	var e Event
	switch {
	case r.Method == http.MethodPost && path[2] == "":
	case r.Method == http.MethodPatch && path[2] != "" && r.Header.Get("Content-Type") != "application/merge-patch+json":
		refuse(w, http.StatusUnsupportedMediaType, "UnsupportedMediaType", "only merge patches are known")
		return
	case r.Method == http.MethodPatch && at >= 0:
		e = *s.events[at]
	default:
		refuse(w, http.StatusNotFound, "NotFound", "events \""+path[2]+"\" not found")
		return
	}
	before := e
	if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
		refuse(w, http.StatusBadRequest, "BadRequest", err.Error())
		return
	}
	if fault := e.fault(path[1]); fault != "" {
		refuse(w, http.StatusUnprocessableEntity, "Invalid", "Event is invalid: "+fault)
		return
	}
	if r.Method == http.MethodPost {
		s.events = append(s.events, &e)
	} else if old := e; true {
		if old.Series = before.Series; old != before {
			refuse(w, http.StatusUnprocessableEntity, "Invalid", "Event is invalid: only its series may change")
			return
		}
		s.events[at] = &e
	}
	close(s.written)
	s.written = make(chan struct{})
	respond(w, http.StatusOK, map[string]any{"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": map[string]any{"name": e.Metadata.Name, "namespace": path[1]}})
}

// fault says why the API server would refuse the Event (pkg/apis/core/validation/events.go of Kubernetes).
func (e Event) fault(namespace string) string {
	switch {
	case e.Metadata.Namespace != namespace || e.Regarding.Namespace != namespace:
		return "its namespace is not that of the request, or not that of its object"
	case len(e.Metadata.Name) > 253 || !eventName.MatchString(e.Metadata.Name):
		return "metadata.name"
	case e.EventTime.IsZero():
		return "eventTime"
	case !qualifiedName.MatchString(e.ReportingController):
		return "reportingController"
	case e.ReportingInstance == "" || len(e.ReportingInstance) > 128:
		return "reportingInstance"
	case e.Action == "" || len(e.Action) > 128:
		return "action"
	case e.Reason == "" || len(e.Reason) > 128:
		return "reason"
	case e.Type != "Normal" && e.Type != "Warning":
		return "type"
	case len(e.Note) > 1024:
		return "note"
	case e.Series != nil && (e.Series.Count < 2 || e.Series.LastObservedTime.IsZero()):
		return "series"
	}
	return ""
}
