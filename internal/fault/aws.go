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
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"golang.org/x/net/http2"
)

// FromAWS converts an error of the AWS SDK to an Error with AWS's code, message and request id. The Kind depends on
// the code and the HTTP status. The caller may add a Hint.
//
// The Error wraps err for errors.Is but never prints it: the text of an SDK error contains URLs and, for STS, may
// repeat parts of the request.
func FromAWS(err error, what, region string) *Error {
	e := &Error{What: what, Region: region, Cause: err}
	var api smithy.APIError
	if errors.As(err, &api) {
		e.Code, e.Message = api.ErrorCode(), withoutTokens(OneLine(api.ErrorMessage()))
	}
	if e.Code == unknownCode { // the response is not from AWS, or has no body
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

// RetryHint is the hint for transient failures.
const RetryHint = "the kubelet retries automatically"

// HintRetry adds RetryHint to a transient failure, unless its Why ends with a question, which is a better hint.
func (e *Error) HintRetry() {
	if e.Kind == Transient && !strings.HasSuffix(e.Why, "?") {
		e.Hint = RetryHint
	}
}

// tokenRE matches JSON Web Tokens. A service may repeat an invalid request, with its token, in the error.
var tokenRE = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}[A-Za-z0-9_.-]*`)

func withoutTokens(s string) string { return tokenRE.ReplaceAllString(s, "[redacted]") }

// maxForeign limits the text of another program in a message.
const maxForeign = 400 // bytes

// Foreign makes the text of another program safe for a message: one line of printable characters, without tokens and
// at most 400 bytes.
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

// unknownCode is the SDK's code and message for a response without either.
const unknownCode = "UnknownError"

// awsCodes maps codes to kinds that the HTTP status (400 for most) does not show.
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
	default: // no response, or an unreadable one
		return Transient
	}
}

// Late is the Why of a timeout.
const Late = "no response in time"

// NoAnswer explains in the provider's own words why a request got no response.
func NoAnswer(err error) string { return connectionReason(err, 0) }

// connectionReason explains in the provider's own words why there was no usable response. status is 0 for none.
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
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), closedHTTP2(err):
		return "the connection was closed before a response"
	default:
		return "no usable response"
	}
}

// closedHTTP2 reports whether a stream of HTTP/2 or its connection ended. net/http exports no type for the latter.
func closedHTTP2(err error) bool {
	var (
		stream  http2.StreamError
		request *url.Error
	)
	return errors.As(err, &stream) || errors.As(err, &request) && strings.HasPrefix(request.Err.Error(), "http2: ")
}
