// The state of parameters: names, ARNs, selectors, versions, labels.
//
// Sources: AWS Systems Manager User Guide "Working with parameter versions in
// Parameter Store", "Working with parameter labels" and "About requirements and
// constraints for parameter names"; API reference of PutParameter (length of a
// name, tiers) and of the data type Parameter (Selector).

package awssim

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	typeString       = "String"
	typeStringList   = "StringList"
	typeSecureString = "SecureString"

	tierStandard    = "Standard"
	tierAdvanced    = "Advanced"
	tierIntelligent = "Intelligent-Tiering"

	maxStandardBytes     = 4096
	maxAdvancedBytes     = 8192
	maxParameterLevels   = 15
	maxParameterARN      = 1011 // characters of the ARN, which is what the service counts
	maxParameterVersions = 100
	maxParameterLabels   = 10
	maxLabelLength       = 100
)

// parameterName matches valid names without a selector.
var parameterName = regexp.MustCompile(`^[A-Za-z0-9_./-]+$`)

// parameter is one parameter of one region. The store's mutex guards it.
type parameter struct {
	region, name, kind string
	keyID, keyARN      string              // KMS key of a SecureString, as given; ARN = customer managed
	advanced           bool                // a parameter never returns to the standard tier
	versions           []*parameterVersion // oldest first; the last one is current
}

// parameterVersion is one immutable value and its labels.
type parameterVersion struct {
	number   int64
	value    string
	modified time.Time
	labels   []string
}

// parameterRef is a request's reference to a parameter.
type parameterRef struct {
	requested string // as in the request, with spaces trimmed
	arn       string // without selector
	name      string // "" if the ARN has another account or region
	selector  string // a version number or a label; "" = the current version
}

// ref parses a name or an ARN, with or without ":selector".
func (p *parameterStore) ref(region, requested string) parameterRef {
	ref := parameterRef{requested: strings.TrimSpace(requested)}
	if !strings.HasPrefix(ref.requested, "arn:") {
		ref.name, ref.selector, _ = strings.Cut(ref.requested, ":")
		ref.arn = p.arn(region, ref.name)
		return ref
	}
	parts := strings.SplitN(ref.requested, ":", 7)
	if len(parts) == 7 {
		ref.selector = parts[6]
	}
	ref.arn = strings.Join(parts[:min(len(parts), 6)], ":")
	// The ARN lacks the leading slash of a hierarchical name. For a name with
	// one level, it does not tell whether the name has a slash.
	if rest, ok := strings.CutPrefix(ref.arn, p.arn(region, "")); ok {
		ref.name = rest
		if strings.Contains(rest, "/") || p.regions[region][rest] == nil && p.regions[region]["/"+rest] != nil {
			ref.name = "/" + rest
		}
	}
	return ref
}

func (p *parameterStore) arn(region, name string) string {
	return fmt.Sprintf("arn:%s:ssm:%s:%s:parameter/%s", regionPartition(region), region, p.account, strings.TrimPrefix(name, "/"))
}

// find returns the parameter and the version that ref selects. A missing version
// is nil. For a missing parameter, both are nil.
func (p *parameterStore) find(region string, ref parameterRef) (*parameter, *parameterVersion) {
	param := p.regions[region][ref.name]
	if param == nil {
		return nil, nil
	}
	if ref.selector == "" {
		return param, param.current()
	}
	i := slices.IndexFunc(param.versions, func(v *parameterVersion) bool {
		return strconv.FormatInt(v.number, 10) == ref.selector || slices.Contains(v.labels, ref.selector)
	})
	if i < 0 {
		return param, nil
	}
	return param, param.versions[i]
}

func (param *parameter) current() *parameterVersion { return param.versions[len(param.versions)-1] }

func (param *parameter) tier() string {
	if param.advanced {
		return tierAdvanced
	}
	return tierStandard
}

// version returns the version with this number, or nil.
func (param *parameter) version(number int64) *parameterVersion {
	if i := slices.IndexFunc(param.versions, func(v *parameterVersion) bool { return v.number == number }); i >= 0 {
		return param.versions[i]
	}
	return nil
}

// addVersion makes value the current version. Above a hundred versions it deletes
// the oldest. It fails if that version has a label.
func (param *parameter) addVersion(value string, now time.Time) *apiError {
	number := int64(1)
	if n := len(param.versions); n > 0 {
		number = param.current().number + 1
		if n >= maxParameterVersions {
			oldest := param.versions[0]
			if len(oldest.labels) > 0 {
				return clientError("ParameterMaxVersionLimitExceeded", "You attempted to create a new version of %s by calling the PutParameter API with the overwrite flag. "+
					"Version %d, the oldest version, can't be deleted because it has a label associated with it. "+
					"Move the label to another version of the parameter, and try again.", param.name, oldest.number)
			}
			param.versions = slices.Delete(param.versions, 0, 1)
		}
	}
	param.advanced = param.advanced || len(value) > maxStandardBytes
	param.versions = append(param.versions, &parameterVersion{number: number, value: value, modified: now})
	return nil
}

// label moves labels to a version.
func (param *parameter) label(to *parameterVersion, labels []string) {
	for _, version := range param.versions {
		version.labels = slices.DeleteFunc(version.labels, func(l string) bool { return slices.Contains(labels, l) })
	}
	to.labels = append(to.labels, labels...)
}

// validLabel checks the rules for labels: letters, digits and "._-". A label
// cannot begin with a digit, "aws" or "ssm" in any case.
func validLabel(label string) bool {
	lower := strings.ToLower(label)
	return label != "" && !strings.Contains(label, "/") && parameterName.MatchString(label) &&
		(label[0] < '0' || label[0] > '9') && !strings.HasPrefix(lower, "aws") && !strings.HasPrefix(lower, "ssm")
}

// checkParameterChars refuses invalid parameter names.
func checkParameterChars(name string) *apiError {
	if !parameterName.MatchString(name) {
		return clientError("ValidationException", `Parameter name: can't be prefixed with "ssm" (case-insensitive). `+
			"If formed as a path, it can consist of sub-paths divided by slash symbol; "+
			"each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_")
	}
	return nil
}

// checkNewParameter checks the rules for the name of a new parameter.
func (p *parameterStore) checkNewParameter(region, name string) *apiError {
	if err := checkParameterChars(name); err != nil {
		return err
	}
	levels := strings.Split(strings.TrimPrefix(name, "/"), "/")
	first := strings.ToLower(levels[0])
	switch {
	case strings.HasPrefix(name, "/") && len(levels) > 1 && strings.HasPrefix(first, "aws"):
		return clientError("AccessDeniedException", "No access to reserved parameter name: %s.", name)
	case strings.HasPrefix(first, "aws") || strings.HasPrefix(first, "ssm"):
		return clientError("ValidationException", `Parameter name: can't be prefixed with "aws" or "ssm" (case-insensitive).`)
	case len(levels) > 1 && !strings.HasPrefix(name, "/"):
		return clientError("ValidationException", "Parameter name must be a fully qualified name.")
	case slices.Contains(levels, ""):
		return checkParameterChars("") // an empty level counts as an invalid character
	case len(levels) > maxParameterLevels:
		return clientError("HierarchyLevelLimitExceededException", "A hierarchy can have a maximum of %d levels.", maxParameterLevels)
	case len(p.arn(region, name)) > maxParameterARN:
		return clientError("ValidationException", "Parameter name, its ARN included, can't be longer than %d characters.", maxParameterARN)
	}
	return nil
}

// ciphertext is an encrypted SecureString: base64 with the prefix of KMS
// ciphertext. It is always the same for one version.
func (param *parameter) ciphertext(v *parameterVersion) string {
	blob := []byte{0x01, 0x02, 0x02, 0x00, 0x78}
	for i := 0; len(blob) < len(v.value)+100; i++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d\x00%d\x00%s", param.region, param.name, v.number, i, v.value))
		blob = append(blob, sum[:]...)
	}
	return base64.StdEncoding.EncodeToString(blob)
}
