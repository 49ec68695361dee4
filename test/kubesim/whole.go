package kubesim

import (
	"encoding/json"
	"net/http"
	"strings"
)

// wholeObject is an object with all its fields.
type wholeObject struct {
	resource string // such as csidrivers
	content  any
}

// SetObject makes GET on path respond with an object or a list, such as a CSIDriver. Refuse applies to resource.
// A nil content makes the path respond as if the object was deleted.
func (s *Sim) SetObject(resource, path string, content any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.whole[path] = wholeObject{resource, content}
}

// Forbid makes access reviews deny an action, such as "get serviceaccounts" or "create serviceaccounts/token", or
// allow it again. They allow all other actions.
func (s *Sim) Forbid(action string, forbidden bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forbidden[action] = forbidden
}

// serveWhole serves the objects of SetObject and access reviews. It returns false for all other requests.
func (s *Sim) serveWhole(w http.ResponseWriter, r *http.Request) bool {
	s.mu.Lock()
	object, found := s.whole[r.URL.Path]
	status := s.refused[object.resource]
	s.mu.Unlock()
	switch {
	case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/selfsubjectaccessreviews"):
		s.review(w, r)
	case !found || r.Method != http.MethodGet:
		return false
	case status == http.StatusForbidden:
		refuse(w, status, "Forbidden", object.resource+" is forbidden: User cannot get resource")
	case status != 0:
		refuse(w, status, "ServiceUnavailable", "the server is currently unable to handle the request")
	case object.content == nil:
		refuse(w, http.StatusNotFound, "NotFound", object.resource+" not found")
	default:
		respond(w, http.StatusOK, object.content)
	}
	return true
}

func (s *Sim) review(w http.ResponseWriter, r *http.Request) {
	var review struct {
		Spec struct {
			ResourceAttributes struct{ Verb, Resource, Subresource string }
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		refuse(w, http.StatusBadRequest, "BadRequest", err.Error())
		return
	}
	a := review.Spec.ResourceAttributes
	s.mu.Lock()
	forbidden := s.forbidden[a.Verb+" "+strings.TrimSuffix(a.Resource+"/"+a.Subresource, "/")]
	s.mu.Unlock()
	respond(w, http.StatusCreated, map[string]any{
		"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "status": map[string]any{"allowed": !forbidden},
	})
}
