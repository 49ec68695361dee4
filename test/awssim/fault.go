package awssim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Fault makes the simulator fail for matching calls. An empty filter matches
// everything. A fault without Status, Code, Hang and Cut only adds latency. If
// several faults match a call, only the one that was injected first applies.
type Fault struct {
	// Service is "sts", "secretsmanager", "ssm" or "pod-identity".
	Service string `json:"service,omitempty"`
	// Operation is the API's name, "GetSecretValue". The Pod Identity agent's
	// only operation is "GetCredentials".
	Operation string `json:"operation,omitempty"`
	// Region of the call, "ap-south-1".
	Region string `json:"region,omitempty"`
	// Object is a secret, a parameter, the path of GetParametersByPath, a value of
	// a name filter, a role's ARN, or "<namespace>/<serviceaccount>" for the Pod
	// Identity agent. A call with
	// several objects matches if one of them matches. A name matches the
	// object's ARN and vice versa. Versions are ignored.
	Object string `json:"object,omitempty"`
	// Count is the number of calls to affect; 0 = until removed.
	Count int `json:"count,omitempty"`

	// Latency delays the response; JSON: "1.5s".
	Latency time.Duration `json:"latency,omitempty"`
	// Status is the HTTP status. Default: 400 if Code is set.
	Status int `json:"status,omitempty"`
	// Code is the AWS error code. Default: the service's usual code for
	// Status.
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
	// Hang accepts the call and sends no response, until the client leaves or Close.
	Hang bool `json:"hang,omitempty"`
	// Cut closes the connection without a response.
	Cut bool `json:"cut,omitempty"`
}

// faultAlias is Fault without its methods, to prevent recursion.
type faultAlias Fault

// MarshalJSON writes the latency as text, "1.5s".
func (f Fault) MarshalJSON() ([]byte, error) {
	latency := ""
	if f.Latency != 0 {
		latency = f.Latency.String()
	}
	return json.Marshal(struct {
		faultAlias
		Latency string `json:"latency,omitempty"`
	}{faultAlias(f), latency})
}

// UnmarshalJSON reads the latency from text. It refuses an unknown field,
// because a fault that does less than intended lets a test pass for the wrong
// reason.
func (f *Fault) UnmarshalJSON(data []byte) error {
	var in struct {
		*faultAlias
		Latency string `json:"latency"`
	}
	in.faultAlias = (*faultAlias)(f)
	if err := decodeStrict(data, &in); err != nil {
		return err
	}
	if in.Latency == "" {
		return nil
	}
	latency, err := time.ParseDuration(in.Latency)
	if err != nil {
		return fmt.Errorf("latency: %w", err)
	}
	f.Latency = latency
	return nil
}

// faultTable holds the injected faults, oldest first.
type faultTable struct {
	mu     sync.Mutex
	lastID int
	faults []*activeFault
}

type activeFault struct {
	Fault
	id   int
	left int // remaining calls to affect; unused when Count is 0
}

func (t *faultTable) add(f Fault) (id int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lastID++
	t.faults = append(t.faults, &activeFault{Fault: f, id: t.lastID, left: f.Count})
	return t.lastID
}

// remove removes a fault and reports whether it existed.
func (t *faultTable) remove(id int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := len(t.faults)
	t.faults = slices.DeleteFunc(t.faults, func(f *activeFault) bool { return f.id == id })
	return len(t.faults) < before
}

func (t *faultTable) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.faults = nil
}

// take returns the fault for a call, or nil, and counts the hit.
func (t *faultTable) take(service, operation, region string, objects []string) *Fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, f := range t.faults {
		if !f.matches(service, operation, region, objects) {
			continue
		}
		if f.Count > 0 {
			f.left--
			if f.left == 0 {
				t.faults = slices.Delete(t.faults, i, i+1)
			}
		}
		hit := f.Fault
		return &hit
	}
	return nil
}

func (f *Fault) matches(service, operation, region string, objects []string) bool {
	if f.Service != "" && f.Service != service ||
		f.Operation != "" && f.Operation != operation ||
		f.Region != "" && f.Region != region {
		return false
	}
	return f.Object == "" || slices.ContainsFunc(objects, func(o string) bool { return sameObject(f.Object, o) })
}

// asError returns the error of the fault, or nil if it only delays.
func (f *Fault) asError(service string) *apiError {
	if f.Status == 0 && f.Code == "" {
		return nil
	}
	e := &apiError{Status: f.Status, Code: f.Code, Message: f.Message}
	if e.Status == 0 {
		e.Status = 400
	}
	if e.Code == "" {
		e.Code = usualCode(service, e.Status)
	}
	if e.Message == "" {
		e.Message = "fault injected into the simulator"
	}
	return e
}

// usualCode returns the error code that a service sends with a status, according
// to "Common Errors" and the error list of each API reference.
func usualCode(service string, status int) string {
	switch {
	case status == 429:
		return "ThrottlingException"
	case status == 503:
		return "ServiceUnavailable"
	case status >= 500 && service == "secretsmanager":
		return "InternalServiceError"
	case status >= 500 && service == "ssm":
		return "InternalServerError"
	case status >= 500:
		return "InternalFailure"
	case status == 403:
		return "AccessDenied"
	default:
		return "ValidationException"
	}
}

// sameObject reports whether two names or ARNs mean the same secret or
// parameter.
func sameObject(want, got string) bool {
	if want == got {
		return true
	}
	wantARN, gotARN := strings.HasPrefix(want, "arn:"), strings.HasPrefix(got, "arn:")
	if wantARN == gotARN {
		return false
	}
	if wantARN {
		return slices.Contains(namesOfARN(want), got)
	}
	return slices.Contains(namesOfARN(got), want)
}

// namesOfARN returns the possible names of an ARN's object. A secret's ARN ends
// in "-" and six random characters. A parameter's ARN lacks the leading slash of
// a hierarchical name.
func namesOfARN(arn string) []string {
	parts := strings.SplitN(arn, ":", 7)
	switch {
	case len(parts) == 7 && parts[2] == "secretsmanager":
		name := parts[6]
		if i := len(name) - 7; i > 0 && name[i] == '-' {
			return []string{name, name[:i]}
		}
		return []string{name}
	case len(parts) >= 6 && parts[2] == "ssm":
		name := strings.TrimPrefix(parts[5], "parameter/")
		return []string{name, "/" + name}
	}
	return nil
}
