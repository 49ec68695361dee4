package fault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

// FromAWS makes an Error of what an AWS SDK call returned: AWS's code, message and
// request id, and a Kind by the HTTP status and the code. What and Hint are the caller's.
//
// The cause is wrapped for errors.Is but never printed: the text of an SDK error
// names URLs and, for STS, may repeat parts of the request.
func FromAWS(err error, what, region string) *Error {
	e := &Error{What: what, Region: region, Cause: err}
	var api smithy.APIError
	if errors.As(err, &api) {
		e.Code, e.Message = api.ErrorCode(), withoutTokens(OneLine(api.ErrorMessage()))
	}
	if e.Code == unknownCode { // something in between has answered, or AWS without a body
		e.Code = ""
		if e.Message == unknownCode {
			e.Message = ""
		}
	}
	status := 0
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		e.RequestID = response.ServiceRequestID()
		status = response.HTTPStatusCode()
	}
	e.Kind = awsKind(err, e.Code, status)
	if e.Code == "" {
		e.Why = connectionReason(err, status)
	}
	return e
}

// RetryHint is what to do about a failure that passes.
const RetryHint = "the kubelet retries automatically"

// HintRetry gives a transient failure RetryHint, unless it asks a question, which is the better hint.
func (e *Error) HintRetry() {
	if e.Kind == Transient && !strings.HasSuffix(e.Why, "?") {
		e.Hint = RetryHint
	}
}

// tokenRE finds JSON Web Tokens: a service that calls a request invalid may repeat what it was sent.
var tokenRE = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}[A-Za-z0-9_.-]*`)

func withoutTokens(s string) string { return tokenRE.ReplaceAllString(s, "[redacted]") }

// maxForeign bounds what a message repeats of another program's.
const maxForeign = 400 // bytes

// Foreign is what another program has answered in its own words, fit for a message: one line of what can
// be printed, without tokens and not longer than 400 bytes.
func Foreign(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = withoutTokens(OneLine(s))
	if len(s) > maxForeign {
		s = strings.ToValidUTF8(s[:maxForeign-len("…")], "") + "…"
	}
	return s
}

// unknownCode stands in for code and message where the SDK has found none in an answer.
const unknownCode = "UnknownError"

// awsCodes are the codes whose Kind the HTTP status (400 for most) does not tell.
// Sources: the error lists of the Secrets Manager, Systems Manager and STS API references
// and "Common Errors" there.
var awsCodes = map[string]Kind{
	"AccessDeniedException":               Denied,
	"AccessDenied":                        Denied,
	"UnauthorizedOperation":               Denied,
	"KMSAccessDeniedException":            Denied,
	"ResourceNotFoundException":           NotFound,
	"ParameterNotFound":                   NotFound,
	"ParameterVersionNotFound":            NotFound,
	"InternalServiceError":                Transient,
	"InternalServerError":                 Transient,
	"InternalFailure":                     Transient,
	"ServiceUnavailable":                  Transient,
	"ServiceUnavailableException":         Transient,
	"RequestTimeout":                      Transient,
	"RequestTimeoutException":             Transient,
	"IDPCommunicationError":               Transient,
	"ExpiredTokenException":               Credentials,
	"ExpiredToken":                        Credentials,
	"UnrecognizedClientException":         Credentials,
	"InvalidClientTokenId":                Credentials,
	"InvalidSignatureException":           Credentials,
	"SignatureDoesNotMatch":               Credentials,
	"IncompleteSignature":                 Credentials,
	"MissingAuthenticationToken":          Credentials,
	"MissingAuthenticationTokenException": Credentials,
	"IncompleteSignatureException":        Credentials,
}

var throttles = retry.IsErrorThrottles(retry.DefaultThrottles)

func awsKind(err error, code string, status int) Kind {
	if kind, known := awsCodes[code]; known {
		return kind
	}
	switch {
	case throttles.IsErrorThrottle(err) == aws.TrueTernary, status == http.StatusTooManyRequests, status >= 500:
		return Transient
	case code != "" || status >= 400:
		return Rejected
	default: // no answer, or none that could be read
		return Transient
	}
}

// Late is the reason of who does not answer in time.
const Late = "no response in time"

// NoAnswer says in words of ours why a request got no answer.
func NoAnswer(err error) string { return connectionReason(err, 0) }

// connectionReason says in words of ours why there was no answer.
func connectionReason(err error, status int) string {
	var (
		dns       *net.DNSError
		unknownCA x509.UnknownAuthorityError
		untrusted *tls.CertificateVerificationError
		op        *net.OpError
		timeout   interface{ Timeout() bool }
	)
	switch {
	case status != 0:
		return fmt.Sprintf("the response is %d %s and not in the format of AWS: is a proxy in between?", status, http.StatusText(status))
	case errors.Is(err, context.DeadlineExceeded):
		return Late
	case errors.Is(err, context.Canceled):
		return "the caller gave up"
	case errors.As(err, &dns) && !dns.IsNotFound:
		return "the host name " + dns.Name + " cannot be looked up: does DNS work on this node?"
	case errors.As(err, &dns):
		return "the host name " + dns.Name + " is not known: is the region right?"
	case errors.As(err, &unknownCA):
		return "the endpoint's TLS certificate is not signed by a known authority: is AWS_CA_BUNDLE right?"
	case errors.As(err, &untrusted):
		return "the endpoint's TLS certificate is not valid: " + untrusted.Err.Error()
	case errors.As(err, &timeout) && timeout.Timeout():
		return Late
	case errors.As(err, &op):
		return "no connection: " + op.Err.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed before a response"
	default:
		return "no usable response"
	}
}
