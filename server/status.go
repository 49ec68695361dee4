package server

import (
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"secrets-provider-aws/internal/fault"
)

// statusCodes maps each kind of failure to the gRPC code that Mount returns.
//
// Every code here is final to the kubelet. Canceled, DeadlineExceeded, Unavailable, ResourceExhausted and Aborted
// are not final: after one of them the kubelet keeps the target directory. The driver then takes the next call for
// a republish and reports an empty volume as success.
var statusCodes = map[fault.Kind]codes.Code{
	fault.Internal:    codes.Internal,
	fault.Class:       codes.InvalidArgument,
	fault.Identity:    codes.FailedPrecondition,
	fault.Credentials: codes.Unauthenticated,
	fault.Denied:      codes.PermissionDenied,
	fault.NotFound:    codes.NotFound,
	fault.Content:     codes.FailedPrecondition,
	fault.Rejected:    codes.InvalidArgument,
	fault.Transient:   codes.Internal,
}

// maxMessage limits a status message, because gRPC sends it in an HTTP/2 header.
const maxMessage = 4096 // bytes

// toStatus turns any error into a gRPC status with a final code. className, "namespace/name", may be empty.
func toStatus(err error, className string) error {
	if err == nil {
		return nil
	}
	code, ok := statusCodes[fault.KindOf(err)]
	if !ok {
		code = codes.Internal
	}
	message := err.Error()
	// Another error may wrap anything, also a status with a code that is not final.
	if known := (*fault.Error)(nil); !errors.As(err, &known) {
		message = "internal error of the provider: " + fault.OneLine(message)
	}
	if className != "" {
		message = "SecretProviderClass " + className + ": " + message
	}
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage-3], "") + "…"
	}
	return status.Error(code, strings.ToValidUTF8(message, "\uFFFD"))
}
