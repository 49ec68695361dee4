// Package class parses a SecretProviderClass of provider aws. It turns the parameters, with the list in `objects`,
// into a checked Class, or reports every fault with its line.
//
// It makes no calls. Package server parses mount requests with it, and the command check parses manifests.
package class

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/internal/fault"
)

// Class is a parsed SecretProviderClass, with the overrides of the pod's volumeAttributes and with defaults.
// A pod author can set every field, so do not use any of them to restrict access.
type Class struct {
	Region         string   // primary AWS region; empty if only the node's label gives it
	FailoverRegion string   // region to read from if Region fails, different from Region; empty for none
	Objects        []Object // at least one

	PodIdentity   bool   // use EKS Pod Identity instead of web identity
	AddressType   string // address family of the Pod Identity agent: "ipv4" or "ipv6"; empty to try both
	RoleARN       string // role to assume; empty for the ServiceAccount's annotation, and with PodIdentity
	AssumeRoleARN string // second role, assumed with the credentials of the first; empty for none
	ExternalID    string // for AssumeRoleARN; empty for none

	// RefreshInterval is the maximum age of a value at a republish; 0 for the provider's --refresh-interval.
	RefreshInterval time.Duration
	Warnings        []Warning // likely mistakes that do not stop a mount, for the log
}

// Regions lists the region, or the two regions, for objects without a region of their own, the primary first.
func (c Class) Regions() []string {
	if c.FailoverRegion == "" {
		return []string{c.Region}
	}
	return []string{c.Region, c.FailoverRegion}
}

// RegionOf is the region to read o from, without regard to the failover region.
func (c Class) RegionOf(o Object) string { return cmp.Or(o.Region, c.Region) }

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

// knownParams are the names of paramFields.
var knownParams = func() []string {
	names := make([]string, len(paramFields))
	for i, f := range paramFields {
		names[i] = f.name
	}
	return names
}()

// Parse parses the parameters: a map from a key of spec.parameters or volumeAttributes to its value.
// defaultRegion is the provider's region (AWS_REGION). It may be empty. The parameter `region` overrides it.
// Parse reports all faults at once: the error is a *fault.Error of kind Class that wraps a *Error.
func Parse(params map[string]string, defaultRegion string) (Class, error) {
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
	if params[paramFailoverRegion] != "" {
		checkOneRegion(class.Objects, r)
	}
	checkCollisions(class.Objects, r)
	for _, key := range slices.Sorted(maps.Keys(params)) {
		warnUnknownParam(key, r)
	}
	class.Warnings = r.warnings
	return class, r.err()
}

// InRegion returns a copy of the class with its primary region set, for a class that was parsed without one.
func (c Class) InRegion(region string) (Class, error) {
	r := &report{}
	c.Region = parseRegion(paramRegion, region, "", r)
	c.checkRegion(r)
	return c, r.err()
}

// checkRegion checks the failover region and the ARNs against the primary region, if that is known.
func (c Class) checkRegion(r *report) {
	switch c.Region {
	case "":
	case c.FailoverRegion:
		r.fault(paramFailoverRegion, position{}, "%s is already the primary region: set another one, or remove it", fault.Quote(c.FailoverRegion))
	}
	checkARNRegions(c.Objects, c.Region, r)
}

func parseRegion(param, region, defaultRegion string, r *report) string {
	if region == "" {
		return defaultRegion
	}
	if !awsclient.ValidRegion(region) {
		r.fault(param, position{}, "%s is not the name of an AWS region, such as eu-west-1", fault.Quote(region))
		return ""
	}
	return region
}

// parseIdentity parses the parameters that select the pod's credentials.
func parseIdentity(params map[string]string, class *Class, r *report) {
	class.PodIdentity = parsePodIdentity(params[paramPodIdentity], r)
	class.AddressType = parseAddressType(params[paramAddressType], r)
	class.RoleARN = parseRoleARN(paramRoleARN, params, r)
	class.AssumeRoleARN = parseRoleARN(paramAssumeRoleARN, params, r)
	class.ExternalID = params[paramExternalID]
	if class.PodIdentity && class.RoleARN != "" {
		r.fault(paramRoleARN, position{}, "cannot be combined with usePodIdentity, which takes the role from the association: remove one of the two, or set assumeRoleArn to assume another role")
	}
	switch {
	case class.ExternalID == "":
	case class.AssumeRoleARN == "":
		r.fault(paramExternalID, position{}, "needs assumeRoleArn, which is not set")
	case !awsclient.ValidExternalID(class.ExternalID):
		r.fault(paramExternalID, position{}, "%s is not 2 to 1224 letters, digits or _+=,.@:/-", fault.Quote(class.ExternalID))
	}
}

// parsePodIdentity accepts the same values as AWS's provider.
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

// parseAddressType reads any other value as no preference, like AWS's provider.
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
	if arn != "" && !awsclient.ValidRoleARN(arn) {
		r.fault(param, position{}, "%s is not the ARN of an IAM role, such as arn:aws:iam::123456789012:role/payment-role", fault.Quote(arn))
	}
	return arn
}

// Limits of refreshInterval. The kubelet republishes about once a minute, and a rotated secret should reach
// the pod within a day.
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

// warnUnknownParam ignores the keys that the CSI driver and Kubernetes add.
func warnUnknownParam(key string, r *report) {
	if slices.Contains(knownParams, key) || key == "secretProviderClass" || strings.Contains(key, "/") {
		return
	}
	r.odd(key, position{}, "%s", unknownName("parameter", key, foreignParams, knownParams))
}
