// Server-side verification of Signature Version 4. Rules: IAM User Guide, "Create
// a signed AWS API request" and "Elements of an AWS API request signature". The
// errors are those of the services' front ends, see authFault.

package awssim

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	sigAlgorithm = "AWS4-HMAC-SHA256"
	amzDate      = "20060102T150405Z"
	// allowedSkew is the maximum difference between a request's time and the service's.
	allowedSkew = 15 * time.Minute
)

// authKind is a reason to refuse a signature.
type authKind int

const (
	authMissing authKind = iota
	authIncomplete
	authBadSignature
	authUnknownKey
	authExpired
)

// authFault is a refused signature. Each protocol has its own error code for a kind.
type authFault struct {
	kind    authKind
	message string
}

// asJSON is the error of a service with the JSON 1.1 protocol.
func (f *authFault) asJSON() *apiError {
	codes := [...]string{"MissingAuthenticationTokenException", "IncompleteSignatureException",
		"InvalidSignatureException", "UnrecognizedClientException", "ExpiredTokenException"}
	return &apiError{Status: http.StatusBadRequest, Code: codes[f.kind], Message: f.message}
}

// asQuery is the error of a service with the query protocol.
func (f *authFault) asQuery() *apiError {
	codes := [...]string{"MissingAuthenticationToken", "IncompleteSignature",
		"SignatureDoesNotMatch", "InvalidClientTokenId", "ExpiredToken"}
	return &apiError{Status: http.StatusForbidden, Code: codes[f.kind], Message: f.message}
}

// signature is a parsed Authorization header.
type signature struct {
	accessKeyID                   string
	date, region, service, ending string // the credential scope
	signedHeaders                 []string
	value                         string
}

// authenticate checks a request's signature for a service. It returns the region
// of the credential scope. wantRegion is the host name's region, or empty.
func (s *Sim) authenticate(r *http.Request, body []byte, service, wantRegion string) (c *credential, region string, fault *authFault) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return nil, "", &authFault{authMissing, "Missing Authentication Token"}
	}
	sig, fault := parseAuthorization(header)
	if fault != nil {
		return nil, "", fault
	}
	at, fault := requestTime(r)
	if fault != nil {
		return nil, sig.region, fault
	}
	if fault := sig.checkScope(at, service, wantRegion); fault != nil {
		return nil, sig.region, fault
	}
	if fault := sig.checkSignedHeaders(r); fault != nil {
		return nil, sig.region, fault
	}
	now := s.now().UTC()
	if fault := checkSkew(at, now); fault != nil {
		return nil, sig.region, fault
	}
	if c, fault = s.liveCredential(sig.accessKeyID, r.Header.Get("X-Amz-Security-Token"), now); fault != nil {
		return nil, sig.region, fault
	}
	if fault := sig.verify(r, body, c.secret); fault != nil {
		return nil, sig.region, fault
	}
	return c, sig.region, nil
}

// parseAuthorization parses the header. Its errors never contain the header.
func parseAuthorization(header string) (*signature, *authFault) {
	algorithm, rest, _ := strings.Cut(header, " ")
	if algorithm != sigAlgorithm {
		return nil, &authFault{authIncomplete, "Authorization header requires the algorithm " + sigAlgorithm + "."}
	}
	fields := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	for _, name := range []string{"Credential", "Signature", "SignedHeaders"} {
		if fields[name] == "" {
			return nil, &authFault{authIncomplete, "Authorization header requires '" + name + "' parameter."}
		}
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 {
		return nil, &authFault{authIncomplete, fmt.Sprintf("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, not %d.", len(scope))}
	}
	return &signature{
		accessKeyID: scope[0], date: scope[1], region: scope[2], service: scope[3], ending: scope[4],
		signedHeaders: strings.Split(fields["SignedHeaders"], ";"),
		value:         fields["Signature"],
	}, nil
}

func requestTime(r *http.Request) (time.Time, *authFault) {
	text := r.Header.Get("X-Amz-Date")
	if text == "" {
		return time.Time{}, &authFault{authIncomplete, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."}
	}
	at, err := time.Parse(amzDate, text)
	if err != nil {
		return time.Time{}, &authFault{authIncomplete, "Date must be in ISO-8601 'basic format'."}
	}
	return at, nil
}

func (sig *signature) checkScope(at time.Time, service, wantRegion string) *authFault {
	bad := func(format string, args ...any) *authFault {
		return &authFault{authBadSignature, fmt.Sprintf(format, args...)}
	}
	day := at.Format("20060102")
	switch {
	case sig.ending != "aws4_request":
		return bad("Credential should be scoped with a valid terminator: 'aws4_request'.")
	case sig.date != day:
		return bad("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.", sig.date, day, at.Format(amzDate))
	case sig.service != service:
		return bad("Credential should be scoped to correct service: '%s'.", service)
	case sig.region == "" || wantRegion != "" && sig.region != wantRegion:
		return bad("Credential should be scoped to a valid region.")
	}
	return nil
}

// checkSignedHeaders requires a signature over the headers that define the
// operation and the time.
func (sig *signature) checkSignedHeaders(r *http.Request) *authFault {
	if !slices.Contains(sig.signedHeaders, "host") {
		return &authFault{authBadSignature, "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."}
	}
	for name := range r.Header {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "x-amz-") && !slices.Contains(sig.signedHeaders, lower) {
			return &authFault{authBadSignature, "'" + lower + "' must be a 'SignedHeader' in the AWS Authorization."}
		}
	}
	return nil
}

func checkSkew(at, now time.Time) *authFault {
	switch {
	case at.Before(now.Add(-allowedSkew)):
		return &authFault{authBadSignature, fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - 15 min.)",
			at.Format(amzDate), now.Add(-allowedSkew).Format(amzDate), now.Format(amzDate))}
	case at.After(now.Add(allowedSkew)):
		return &authFault{authBadSignature, fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + 15 min.)",
			at.Format(amzDate), now.Add(allowedSkew).Format(amzDate), now.Format(amzDate))}
	}
	return nil
}

// liveCredential finds the access key. It checks that the session token belongs
// to the key, and that the session has not expired.
func (s *Sim) liveCredential(accessKeyID, token string, now time.Time) (*credential, *authFault) {
	invalid := &authFault{authUnknownKey, "The security token included in the request is invalid."}
	c := s.credentials.lookup(accessKeyID)
	if c == nil || subtle.ConstantTimeCompare([]byte(c.token), []byte(token)) != 1 {
		return nil, invalid
	}
	if !c.expires.IsZero() && !now.Before(c.expires) {
		return nil, &authFault{authExpired, "The security token included in the request is expired"}
	}
	if _, ok := s.iam.policiesOf(c.who); !ok {
		return nil, invalid
	}
	return c, nil
}

// verify computes the signature from the received request and compares it.
func (sig *signature) verify(r *http.Request, body []byte, secret string) *authFault {
	mismatch := &authFault{authBadSignature, "The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details."}
	sum := sha256.Sum256(body)
	bodyHash := hex.EncodeToString(sum[:])
	if declared := r.Header.Get("X-Amz-Content-Sha256"); declared != "" && declared != bodyHash {
		return mismatch
	}
	var headers strings.Builder
	for _, name := range sig.signedHeaders {
		values := headerValues(r, name)
		if values == nil {
			return mismatch
		}
		headers.WriteString(name + ":" + strings.Join(values, ",") + "\n")
	}
	canonical := strings.Join([]string{
		r.Method,
		canonicalPath(r.URL),
		canonicalQuery(r.URL),
		headers.String(),
		strings.Join(sig.signedHeaders, ";"),
		bodyHash,
	}, "\n")
	sum = sha256.Sum256([]byte(canonical))
	scope := strings.Join([]string{sig.date, sig.region, sig.service, sig.ending}, "/")
	toSign := strings.Join([]string{sigAlgorithm, r.Header.Get("X-Amz-Date"), scope, hex.EncodeToString(sum[:])}, "\n")

	key := []byte("AWS4" + secret)
	for _, part := range []string{sig.date, sig.region, sig.service, sig.ending} {
		key = hmacSHA256(key, part)
	}
	want := hex.EncodeToString(hmacSHA256(key, toSign))
	if subtle.ConstantTimeCompare([]byte(want), []byte(sig.value)) != 1 || !slices.IsSorted(sig.signedHeaders) {
		return mismatch
	}
	return nil
}

// headerValues returns a header's values, trimmed and with single spaces, or nil
// if the request lacks the header. net/http keeps Host, and sometimes
// Content-Length, outside the header map.
func headerValues(r *http.Request, name string) []string {
	switch name {
	case "host":
		return []string{r.Host}
	case "content-length":
		return []string{strconv.FormatInt(r.ContentLength, 10)}
	}
	var out []string
	for _, v := range r.Header.Values(name) {
		out = append(out, strings.Join(strings.FieldsFunc(v, func(c rune) bool { return c == ' ' }), " "))
	}
	return out
}

// canonicalPath encodes the path's segments a second time, as every service
// except S3 does.
func canonicalPath(u *url.URL) string {
	path := u.EscapedPath()
	if path == "" {
		return "/"
	}
	return strings.ReplaceAll(uriEncode(path), "%2F", "/")
}

func canonicalQuery(u *url.URL) string {
	var pairs []string
	for key, values := range u.Query() {
		for _, v := range values {
			pairs = append(pairs, uriEncode(key)+"="+uriEncode(v))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// uriEncode is UriEncode of the signing rules: url.QueryEscape with %20 for a
// space.
func uriEncode(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

func hmacSHA256(key []byte, data string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(data))
	return h.Sum(nil)
}
