package awssim

import (
	"fmt"
	"net/http"
	"time"
)

// apiError is an error as the service answers it.
type apiError struct {
	Status  int    // HTTP status
	Code    string // the "__type" of a JSON service, the Code of the query protocol
	Message string
}

// Error gives code and message.
func (e *apiError) Error() string { return e.Code + ": " + e.Message }

// call is one authenticated request to a JSON service.
type call struct {
	Region, Account string
	Now             time.Time
	Body            []byte // JSON input

	// Allowed reports whether the caller's policies allow action (for example
	// "secretsmanager:GetSecretValue") on the resource ARN. nil = allowed, else
	// the AccessDenied error in the words the real service uses.
	Allowed func(action, resourceARN string) *apiError

	// Object is set by the handler: name or ARN asked for, for the call log.
	Object string
}

// jsonService is one service of the JSON 1.1 protocol: secretStore and
// parameterStore. The result of handle is marshalled as the answer.
type jsonService interface {
	handle(op string, c *call) (any, *apiError)
}

// badRequest is an error with HTTP status 400, which most of AWS's errors have.
func badRequest(code, format string, args ...any) *apiError {
	return &apiError{Status: http.StatusBadRequest, Code: code, Message: fmt.Sprintf(format, args...)}
}
