package awssim

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// adminPath is the path of the admin API, for tests in other processes:
//
//	GET    /_awssim/calls        {"counts": {"sts:AssumeRole": 1}, "log": [Call…]}
//	POST   /_awssim/reset        clears the call log
//	GET    /_awssim/connections  {"open": 1, "total": 2}
//	POST   /_awssim/faults       Fault → {"id": 1}
//	DELETE /_awssim/faults       removes all; /_awssim/faults/<id> one
//	PUT    /_awssim/quota        Quota, added or replaced; rate 0 removes it
//	PUT    /_awssim/role         Role, added or replaced
//	PUT    /_awssim/association  PodIdentityAssociation, added or replaced
//	PUT    /_awssim/secret       {"region", "name", "value"} → {"versionId"}
//	PUT    /_awssim/parameter    {"region", "name", "value"} → {"version"}
//	PUT    /_awssim/tags         {"region", "name", "tags": {}}, replaces a secret's tags
//	DELETE /_awssim/secret       {"region", "name"}, at once
//	DELETE /_awssim/parameter    {"region", "name"}
//
// It needs no credentials: a simulator holds no real secrets.
const adminPath = "/_awssim/"

// AdminCalls is the response to GET /_awssim/calls.
type AdminCalls struct {
	Counts map[string]int `json:"counts"`
	Log    []Call         `json:"log"`
}

// adminValue is the body of PUT /_awssim/secret and /_awssim/parameter.
type adminValue struct {
	Region string `json:"region"`
	Name   string `json:"name"`
	Value  string `json:"value"`
}

// adminTags is the body of PUT /_awssim/tags.
type adminTags struct {
	Region string            `json:"region"`
	Name   string            `json:"name"`
	Tags   map[string]string `json:"tags"`
}

// adminName is the body of DELETE /_awssim/secret and /_awssim/parameter.
type adminName struct {
	Region string `json:"region"`
	Name   string `json:"name"`
}

func (s *Sim) serveAdmin(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
		return
	}
	result, err := s.administer(r.Method, strings.TrimPrefix(r.URL.Path, adminPath), body)
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, result)
}

func (s *Sim) administer(method, path string, body []byte) (any, error) {
	done := map[string]bool{"ok": true}
	path, id, hasID := strings.Cut(path, "/")
	switch method + " " + path {
	case "GET calls":
		return AdminCalls{Counts: s.Calls(), Log: s.CallLog()}, nil
	case "POST reset":
		s.ResetCalls()
		return done, nil
	case "GET connections":
		open, total := s.Connections()
		return map[string]int{"open": open, "total": total}, nil
	case "POST faults":
		var f Fault
		if err := json.Unmarshal(body, &f); err != nil { // strict: see Fault.UnmarshalJSON
			return nil, fmt.Errorf("fault: %w", err)
		}
		return map[string]int{"id": s.faults.add(f)}, nil
	case "DELETE faults":
		if !hasID {
			s.faults.clear()
			return done, nil
		}
		n, err := strconv.Atoi(id)
		if err != nil {
			return nil, fmt.Errorf("fault id: %w", err)
		}
		return map[string]bool{"removed": s.faults.remove(n)}, nil
	case "PUT quota":
		var q Quota
		if err := decodeStrict(body, &q); err != nil {
			return nil, fmt.Errorf("quota: %w", err)
		}
		return done, s.SetQuota(q)
	case "PUT role":
		var role Role
		if err := decodeStrict(body, &role); err != nil {
			return nil, fmt.Errorf("role: %w", err)
		}
		return done, s.SetRole(role)
	case "PUT association":
		var a PodIdentityAssociation
		if err := decodeStrict(body, &a); err != nil {
			return nil, fmt.Errorf("association: %w", err)
		}
		return done, s.AddPodIdentityAssociation(a)
	case "PUT secret", "PUT parameter":
		var v adminValue
		if err := decodeStrict(body, &v); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if path == "secret" {
			return map[string]string{"versionId": s.PutSecret(v.Region, v.Name, v.Value)}, nil
		}
		return map[string]int64{"version": s.PutParameter(v.Region, v.Name, v.Value)}, nil
	case "PUT tags":
		var v adminTags
		if err := decodeStrict(body, &v); err != nil {
			return nil, fmt.Errorf("tags: %w", err)
		}
		return done, s.TagSecret(v.Region, v.Name, v.Tags)
	case "DELETE secret", "DELETE parameter":
		var v adminName
		if err := decodeStrict(body, &v); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if path == "secret" {
			return done, s.RemoveSecret(v.Region, v.Name)
		}
		return done, s.RemoveParameter(v.Region, v.Name)
	}
	return nil, fmt.Errorf("the admin API has no %s %s", method, path)
}

func writeJSON(w http.ResponseWriter, status int, content any) {
	body, err := json.Marshal(content)
	if err != nil {
		panic(err) // only plain structs and maps reach this
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
