// Routing of requests to the services. Rules for operation names: smithy.io "AWS
// JSON 1.1 protocol" and "AWS Query protocol".

package awssim

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

const (
	stsVersion  = "2011-06-15"
	maxBody     = 1 << 20 // bytes; every service here has a lower limit
	jsonContent = "application/x-amz-json-1.1"
	formContent = "application/x-www-form-urlencoded"

	serviceSTS         = "sts"
	servicePodIdentity = "pod-identity"
)

// targetPrefixes are the X-Amz-Target prefixes of the JSON services.
var targetPrefixes = map[string]string{
	"secretsmanager": "secretsmanager",
	"AmazonSSM":      "ssm",
}

// awsRequest is a request to a service while it is processed.
type awsRequest struct {
	*http.Request
	id                 string // request id
	service, operation string
	region             string
	host               awsHost // zero if the Host header is not AWS's
	body               []byte
	form               url.Values // query protocol only
	objects            []string   // requested names or ARNs, without versions
	caller             *credential
	logged             *Call
}

// route handles requests on the AWS listener.
func (s *Sim) route(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodConnect:
		s.connect(w, r)
	case s.tls && r.TLS == nil:
		http.Error(w, "awssim: this listener speaks TLS", http.StatusBadRequest)
	case strings.HasPrefix(r.URL.Path, issuerPath):
		s.serveIssuer(w, r)
	case strings.HasPrefix(r.URL.Path, adminPath):
		s.serveAdmin(w, r)
	default:
		s.serveAWS(w, r)
	}
}

// serveAWS handles one call of a service.
func (s *Sim) serveAWS(w http.ResponseWriter, r *http.Request) {
	req := &awsRequest{Request: r, id: newRequestID()}
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat)) // from which a client learns that its clock is wrong
	var err error
	if req.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
		req.writeJSONError(w, &apiError{Status: http.StatusRequestEntityTooLarge, Code: "RequestEntityTooLarge"})
		return
	}
	if !req.identify() {
		req.writeJSONError(w, &apiError{Status: http.StatusNotFound, Code: "UnknownOperationException"})
		return
	}
	var refused *apiError
	req.caller, refused = s.admit(req)
	// Take the fault before logging the call: a test that sees the call in the log then knows that its fault was applied.
	fault := s.faults.take(req.service, req.operation, req.region, req.objects)
	if req.caller != nil {
		req.logged = s.log.begin(req.entry(req.caller.who.arn))
	} else {
		req.logged = s.log.begin(req.entry(""))
	}
	if injected := s.misbehave(r.Context(), req.service, fault); injected != nil {
		refused = injected
	}
	if refused == nil {
		refused = s.quotas.take(s.now(), req.service, req.operation, req.region)
	}

	var result any
	if refused == nil {
		result, refused = s.perform(req)
	}
	s.finish(req.logged, refused)
	switch {
	case req.form != nil && refused != nil:
		req.writeQueryError(w, refused)
	case req.form != nil:
		req.writeQueryResponse(w, result)
	case refused != nil:
		req.writeJSONError(w, refused)
	default:
		req.writeJSONResponse(w, result)
	}
}

// identify sets the service, the operation and the objects. It returns false if
// they are unknown.
func (r *awsRequest) identify() bool {
	if r.URL.Path != "/" && r.URL.Path != "" {
		return false
	}
	var ok bool
	if r.host, ok = parseAWSHost(r.Host); ok {
		r.region = r.host.region
	}
	content, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	prefix, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	switch {
	case r.Method == http.MethodPost && content == jsonContent && targetPrefixes[prefix] != "" && operation != "":
		r.service, r.operation = targetPrefixes[prefix], operation
		r.objects = objectsInJSON(r.service, r.body)
	case r.Method == http.MethodPost && content == formContent:
		r.form, _ = url.ParseQuery(string(r.body))
	case r.Method == http.MethodGet:
		r.form = r.URL.Query()
	}
	if r.form != nil {
		r.service, r.operation = serviceSTS, r.form.Get("Action")
		if r.form.Get("Version") == iamVersion {
			r.service = serviceIAM
		}
		if role := r.form.Get("RoleArn"); role != "" {
			r.objects = []string{role}
		}
	}
	return r.operation != "" && (r.host.service == "" || r.host.service == r.service)
}

// admit checks the signature if the operation needs one. The credential scope
// sets the region, which must match the host name's.
func (s *Sim) admit(r *awsRequest) (*credential, *apiError) {
	if r.service == serviceSTS && r.operation == "AssumeRoleWithWebIdentity" && r.Header.Get("Authorization") == "" {
		return nil, nil
	}
	caller, region, fault := s.authenticate(r.Request, r.body, r.service, r.host.region)
	if r.region == "" {
		r.region = region
	}
	switch {
	case fault == nil:
		return caller, nil
	case r.form != nil:
		return nil, fault.asQuery()
	}
	return nil, fault.asJSON()
}

// perform calls the service.
func (s *Sim) perform(r *awsRequest) (any, *apiError) {
	switch r.service {
	case serviceSTS:
		return s.performSTS(r)
	case serviceIAM:
		return s.performIAM(r)
	}
	var service jsonService = s.secrets
	if r.service == "ssm" {
		service = s.parameters
	}
	who := r.caller.who
	keys := requestContext(who, r.region, r.TLS != nil)
	c := &call{
		Region: r.region, Account: who.account, Now: s.now(), Body: r.body,
		Allowed: func(action, resource string, tags ...secretTag) *apiError {
			return s.iam.authorize(who, action, resource, keys.withResourceTags(tags))
		},
	}
	result, refused := service.handle(r.operation, c)
	if c.Object != "" {
		s.log.update(r.logged, func(entry *Call) { entry.Object = c.Object })
	}
	return result, refused
}

// entry is the call log's entry for a request on arrival.
func (r *awsRequest) entry(principal string) Call {
	return Call{
		Service: r.service, Operation: r.operation, Region: r.region,
		Object: strings.Join(r.objects, ","), Principal: principal, UserAgent: r.UserAgent(),
	}
}

// finish records how a call ended.
func (s *Sim) finish(entry *Call, refused *apiError) {
	s.log.update(entry, func(c *Call) {
		c.Status = http.StatusOK
		if refused != nil {
			c.Status, c.Code = refused.Status, refused.Code
		}
	})
}

// objectsInJSON returns the objects in a request body of the two JSON services:
// names, ARNs, a path, and the values of name filters.
// For an invalid body it returns none, because the service reports the error.
func objectsInJSON(service string, body []byte) []string {
	var in struct {
		SecretID     string   `json:"SecretId"`
		SecretIDList []string `json:"SecretIdList"`
		Name, Path   string
		Names        []string
		Filters      secretFilters
	}
	_ = json.Unmarshal(body, &in)
	names := slices.Concat([]string{in.SecretID, in.Name, in.Path}, in.SecretIDList, in.Names)
	for _, f := range in.Filters {
		if deref(f.Key) == "name" {
			names = append(names, f.Values...)
		}
	}
	var out []string
	for _, name := range names {
		if service == "ssm" {
			name = withoutVersion(name)
		}
		if name != "" {
			out = append(out, name)
		}
	}
	return out
}

// withoutVersion removes ":<version>" or ":<label>" from a parameter's name or ARN.
func withoutVersion(name string) string {
	colons := 0
	if strings.HasPrefix(name, "arn:") {
		colons = 5
	}
	parts := strings.SplitN(name, ":", colons+2)
	return strings.Join(parts[:min(len(parts), colons+1)], ":")
}
