// Package provider knows what to fetch from AWS and how: the parameters of a
// SecretProviderClass with their `objects` language, the reads from Secrets Manager
// and Parameter Store, and the files that come of them.
//
// It is given credentials and asks nobody who the pod is: that is package auth.
package provider

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"secrets-provider-aws/provider/awsapi"
	"secrets-provider-aws/provider/fault"
)

// Class is what a SecretProviderClass, overlaid by the pod's volumeAttributes, asks for:
// checked, with defaults filled in. A pod author can set any of it, so none of it is a policy.
type Class struct {
	Region         string   // AWS region to read from; empty where only the node's label can tell
	FailoverRegion string   // region to read from where Region does not answer, another one; empty for none
	Objects        []Object // at least one

	PodIdentity   bool   // EKS Pod Identity rather than web identity
	AddressType   string // address of the Pod Identity agent: "ipv4" or "ipv6" alone; empty for whichever answers
	RoleARN       string // role to assume; empty for the ServiceAccount's annotation, and with PodIdentity
	AssumeRoleARN string // role to go on to from there; empty for none
	ExternalID    string // for AssumeRoleARN; empty for none

	// RefreshInterval is how old a value may be at a republish; 0 for the provider's own.
	RefreshInterval time.Duration
	Warnings        []Warning // what is odd and was overlooked, for the log
}

// Regions are those that the class reads from, the primary first: one or two.
func (c Class) Regions() []string {
	if c.FailoverRegion == "" {
		return []string{c.Region}
	}
	return []string{c.Region, c.FailoverRegion}
}

// Parameter names of a SecretProviderClass (spec.parameters).
const (
	paramObjects         = "objects"
	paramRegion          = "region"
	paramFailoverRegion  = "failoverRegion"
	paramPathTranslation = "pathTranslation"
	paramPodIdentity     = "usePodIdentity"
	paramAddressType     = "preferredAddressType"
	paramRoleARN         = "roleArn"
	paramAssumeRoleARN   = "assumeRoleArn"
	paramExternalID      = "externalId"
	paramRefreshInterval = "refreshInterval"
)

var knownParams = []string{
	paramObjects, paramRegion, paramFailoverRegion, paramPathTranslation, paramPodIdentity, paramAddressType, paramRoleARN,
	paramAssumeRoleARN, paramExternalID, paramRefreshInterval,
}

// ParseClass reads parameters: a key of spec.parameters or volumeAttributes to its text.
// defaultRegion is the provider's own region (AWS_REGION), may be empty, and yields to the
// parameter `region`. Every fault is reported at once: the error is a *fault.Error of kind
// Class that wraps a *ClassError.
func ParseClass(params map[string]string, defaultRegion string) (Class, error) {
	r := &report{}
	class := Class{
		Region:          parseRegion(paramRegion, params[paramRegion], defaultRegion, r),
		FailoverRegion:  parseRegion(paramFailoverRegion, params[paramFailoverRegion], "", r),
		RefreshInterval: parseRefreshInterval(params[paramRefreshInterval], r),
	}
	parseIdentity(params, &class, r)
	translate := parseTranslation(params[paramPathTranslation], r)
	class.Objects = parseObjects(params[paramObjects], translate, r)
	class.checkRegion(r)
	switch {
	case class.FailoverRegion != "":
		checkFailover(class.Objects, class.FailoverRegion, r)
	case params[paramFailoverRegion] == "":
		checkNoFailover(class.Objects, r)
	}
	checkCollisions(class.Objects, r)
	for _, key := range slices.Sorted(maps.Keys(params)) {
		warnUnknownParam(key, r)
	}
	class.Warnings = r.warnings
	return class, r.err()
}

// InRegion completes a class whose region was not known when it was parsed.
func (c Class) InRegion(region string) (Class, error) {
	r := &report{}
	c.Region = parseRegion(paramRegion, region, "", r)
	c.checkRegion(r)
	return c, r.err()
}

// checkRegion holds the class to its primary region, where that is known.
func (c Class) checkRegion(r *report) {
	switch c.Region {
	case "":
		return
	case c.FailoverRegion:
		r.fault(paramFailoverRegion, position{}, "%s is the region to read from already: name another one, or leave it out", fault.Quote(c.FailoverRegion))
	}
	checkARNRegions(c.Objects, c.Region, r)
}

func parseRegion(param, region, defaultRegion string, r *report) string {
	if region == "" {
		return defaultRegion
	}
	if !awsapi.ValidRegion(region) {
		r.fault(param, position{}, "%s is not the name of an AWS region, such as eu-west-1", fault.Quote(region))
		return ""
	}
	return region
}

// parseIdentity reads who asks AWS.
func parseIdentity(params map[string]string, class *Class, r *report) {
	class.PodIdentity = parsePodIdentity(params[paramPodIdentity], r)
	class.AddressType = parseAddressType(params[paramAddressType], r)
	class.RoleARN = parseRoleARN(paramRoleARN, params, r)
	class.AssumeRoleARN = parseRoleARN(paramAssumeRoleARN, params, r)
	class.ExternalID = params[paramExternalID]
	if class.PodIdentity && class.RoleARN != "" {
		r.fault(paramRoleARN, position{}, "the role of EKS Pod Identity is that of the association: remove roleArn or usePodIdentity; assumeRoleArn goes on to another role")
	}
	switch {
	case class.ExternalID == "":
	case class.AssumeRoleARN == "":
		r.fault(paramExternalID, position{}, "is only for assumeRoleArn, which is not set")
	case !awsapi.ValidExternalID(class.ExternalID):
		r.fault(paramExternalID, position{}, "%s is not 2 to 1224 letters, digits or _+=,.@:/-", fault.Quote(class.ExternalID))
	}
}

// parsePodIdentity takes what AWS's provider takes.
func parsePodIdentity(text string, r *report) bool {
	if text == "" {
		return false
	}
	on, err := strconv.ParseBool(text)
	if err != nil {
		r.fault(paramPodIdentity, position{}, "%s is neither true nor false", fault.Quote(text))
	}
	return on
}

// parseAddressType takes anything else than the two for no preference, as AWS's provider does.
func parseAddressType(text string, r *report) string {
	switch t := strings.ToLower(text); t {
	case "ipv4", "ipv6":
		return t
	case "", "auto":
	default:
		r.warn(Warning{Harmless: true, Fault: Fault{Field: paramAddressType, Message: fault.Quote(text) + " is none of ipv4, ipv6 and auto, and was read as auto"}})
	}
	return ""
}

func parseRoleARN(param string, params map[string]string, r *report) string {
	arn := params[param]
	if arn != "" && !awsapi.ValidRoleARN(arn) {
		r.fault(param, position{}, "%s is not the ARN of an IAM role, such as arn:aws:iam::123456789012:role/payment-role", fault.Quote(arn))
	}
	return arn
}

// Bounds of refreshInterval: the kubelet republishes about once a minute, and a rotated secret should
// arrive within a day.
const (
	minRefreshInterval = time.Second
	maxRefreshInterval = 24 * time.Hour
)

func parseRefreshInterval(text string, r *report) time.Duration {
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < minRefreshInterval || d > maxRefreshInterval {
		r.fault(paramRefreshInterval, position{}, "%s is not a duration from 1s to 24h, such as 5m", fault.Quote(text))
		return 0
	}
	return d
}

func parseTranslation(text string, r *report) translation {
	switch {
	case text == "":
		return "_"
	case strings.EqualFold(text, "false"):
		return keepSlashes
	case utf8.RuneCountInString(text) != 1:
		r.fault(paramPathTranslation, position{}, "%s is neither False nor exactly one character", fault.Quote(text))
		return "_"
	default:
		return translation(text)
	}
}

// warnUnknownParam skips the keys that the CSI driver and Kubernetes add themselves.
func warnUnknownParam(key string, r *report) {
	if slices.Contains(knownParams, key) || key == "secretProviderClass" || strings.Contains(key, "/") {
		return
	}
	r.odd(key, position{}, "is not a known parameter and was ignored%s", DidYouMean(key, knownParams))
}

// ClassError lists every fault of a SecretProviderClass.
type ClassError struct{ Faults []Fault }

// Fault is one thing that is wrong in a SecretProviderClass.
type Fault struct {
	Field   string // `region`, `objects[2].filePermission`
	Line    int    // line inside the text of `objects`, from 1; 0 where the field is not in it
	Column  int    // column there, from 1
	Message string // what is wrong and what would be right
}

// String is the fault as one clause.
func (f Fault) String() string {
	field := f.Field
	if !fieldRE.MatchString(field) { // the name of a parameter that is not known can be any text
		field = fault.Quote(field)
	}
	if f.Line > 0 {
		return fmt.Sprintf("%s (line %d): %s", field, f.Line, f.Message)
	}
	return field + ": " + f.Message
}

var fieldRE = regexp.MustCompile(`^[A-Za-z0-9_.\[\]-]{1,120}$`)

// Parameter is the parameter that the fault is in: `objects` of `objects[2].filePermission`.
func (f Fault) Parameter() string {
	if rest, ok := strings.CutPrefix(f.Field, paramObjects); ok && strings.HasPrefix(rest, "[") {
		return paramObjects
	}
	return f.Field
}

// Warning is one thing that is odd in a SecretProviderClass and was overlooked.
type Warning struct {
	Fault
	Harmless bool // it was read as it was meant; otherwise it has no effect, or AWS will refuse it
}

// Error lists the faults in the order in which they stand.
func (e *ClassError) Error() string {
	texts := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		texts[i] = f.String()
	}
	if len(texts) == 1 {
		return texts[0]
	}
	const most = 20
	more := ""
	if len(texts) > most {
		more = fmt.Sprintf("; and %d more", len(texts)-most)
		texts = texts[:most]
	}
	for i, text := range texts {
		texts[i] = fmt.Sprintf("(%d) %s", i+1, text)
	}
	return fmt.Sprintf("%d faults: %s%s", len(e.Faults), strings.Join(texts, "; "), more)
}

// position is a place inside the text of `objects`; zero is none.
type position struct{ line, column int }

// report collects what is wrong and what is odd.
type report struct {
	faults   []Fault
	warnings []Warning
}

func (r *report) fault(field string, at position, format string, args ...any) {
	r.faults = append(r.faults, Fault{Field: field, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...)})
}

// maxWarnings keeps a pod author's text from flooding the log.
const maxWarnings = 50

func (r *report) warn(w Warning) {
	if len(r.warnings) < maxWarnings {
		r.warnings = append(r.warnings, w)
	}
}

// odd warns of what has no effect, or what AWS will refuse.
func (r *report) odd(field string, at position, format string, args ...any) {
	r.warn(Warning{Fault: Fault{Field: field, Line: at.line, Column: at.column, Message: fmt.Sprintf(format, args...)}})
}

func (r *report) err() error {
	if len(r.faults) == 0 {
		return nil
	}
	e := &ClassError{Faults: r.faults}
	return &fault.Error{Kind: fault.Class, Why: e.Error(), Cause: e}
}
