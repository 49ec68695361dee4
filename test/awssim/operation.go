package awssim

import (
	"fmt"
	"net/http"
	"time"
)

// apiError is an error response of a service.
type apiError struct {
	Status  int    // HTTP status
	Code    string // the "__type" of a JSON service, the Code of the query protocol
	Message string
}

// Error returns code and message.
func (e *apiError) Error() string { return e.Code + ": " + e.Message }

// call is one authenticated request to a JSON service.
type call struct {
	Region, Account string
	Now             time.Time
	Body            []byte // JSON input

	// Allowed checks the caller's policies for an action (for example
	// "secretsmanager:GetSecretValue") on the resource ARN. It returns nil, or
	// the AccessDenied error with the text of the real service. tags are the
	// resource's.
	Allowed func(action, resourceARN string, tags ...secretTag) *apiError

	// Object is the requested name, ARN, path or filter, for the call log. The
	// handler sets it.
	Object string
}

// jsonService is a service with the JSON 1.1 protocol: secretStore and
// parameterStore. The result of handle is the JSON response.
type jsonService interface {
	handle(op string, c *call) (any, *apiError)
}

// badRequest returns an error with HTTP status 400, as most errors of AWS have.
func badRequest(code, format string, args ...any) *apiError {
	return &apiError{Status: http.StatusBadRequest, Code: code, Message: fmt.Sprintf(format, args...)}
}
