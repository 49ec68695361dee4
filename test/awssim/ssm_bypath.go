// AWS Systems Manager Parameter Store: GetParametersByPath.
//
// Sources: API reference of GetParametersByPath and of ParameterStringFilter; User
// Guide "How Parameter Store authorizes parameter retrieval": the service checks
// the path in the request, not the parameters that it returns, so a Deny on one
// parameter below the path has no effect. The resource is the path as requested,
// with its last slash (recorded: aws-dotnet-extensions-configuration issue 108
// without, terraform-aws-control_tower_account_factory issue 174 with one). The
// texts of filter errors are moto's, which records the service.

package awssim

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

const (
	maxParameterFilterValues = 50
	maxParameterFilterLength = 1024
)

// parameterFilterKey matches the keys of ParameterStringFilter. Most of them are
// for DescribeParameters only.
var parameterFilterKey = regexp.MustCompile(`^(tag:.+|Name|Type|KeyId|Path|Label|Tier|DataType)$`)

// parameterFilter is the API's data type ParameterStringFilter.
type parameterFilter struct {
	Key, Option *string
	Values      []string
}

func (p *parameterStore) getParametersByPath(c *call) (any, *apiError) {
	var in struct {
		Path, NextToken           *string
		MaxResults                *int64
		Recursive, WithDecryption bool
		ParameterFilters          []parameterFilter
	}
	if err := decodeInput(c.Body, &in); err != nil {
		return nil, err
	}
	c.Object = deref(in.Path)
	var limits constraints
	limits.needText("path", in.Path, maxParameterNameLength)
	limits.number("maxResults", in.MaxResults, 1, maxParameterBatch)
	for i, f := range in.ParameterFilters {
		f.limits(&limits, fmt.Sprintf("parameterFilters.%d.member.", i+1))
	}
	if err := limits.err(); err != nil {
		return nil, err
	}
	path := strings.TrimSpace(*in.Path)
	if err := checkParameterPath(path); err != nil {
		return nil, err
	}
	if err := c.Allowed("ssm:GetParametersByPath", p.arn(c.Region, path)); err != nil {
		return nil, err
	}
	if err := checkParameterFilters(in.ParameterFilters); err != nil {
		return nil, err
	}
	request := pageRequest(c, "GetParametersByPath", path, in.Recursive, in.WithDecryption, in.ParameterFilters)
	after, err := p.tokens.open(request, in.NextToken, c.Now)
	if err != nil {
		return nil, clientError("InvalidNextToken", "The specified token isn't valid.")
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	out := struct {
		Parameters []parameterOutput
		NextToken  string `json:",omitempty"`
	}{Parameters: []parameterOutput{}}
	size, examined := int(cmp.Or(deref(in.MaxResults), maxParameterBatch)), 0
	for _, name := range p.below(c.Region, path, in.Recursive) {
		if name <= after.Name {
			continue
		}
		if len(out.Parameters) == size || p.scanLimit > 0 && examined == p.scanLimit {
			out.NextToken = p.tokens.seal(request, 0, after.Name, c.Now)
			break
		}
		after.Name = name
		examined++
		param := p.regions[c.Region][name]
		version, selector := param.selected(in.ParameterFilters)
		if version == nil {
			continue
		}
		if err := p.mayDecrypt(c, param, in.WithDecryption); err != nil {
			return nil, err
		}
		out.Parameters = append(out.Parameters, p.output(param, version, selector, in.WithDecryption))
	}
	return out, nil
}

// below returns the names of the parameters under a path, sorted: right under it,
// or at every level. A name without a slash is right under the root.
func (p *parameterStore) below(region, path string, recursive bool) []string {
	prefix := strings.TrimSuffix(path, "/") + "/"
	var names []string
	for _, name := range slices.Sorted(maps.Keys(p.regions[region])) {
		rest, below := strings.CutPrefix("/"+strings.TrimPrefix(name, "/"), prefix)
		if below && (recursive || !strings.Contains(rest, "/")) {
			names = append(names, name)
		}
	}
	return names
}

// checkParameterPath checks the rules for a path: it begins with a slash, has no
// empty level and at most 15 levels.
func checkParameterPath(path string) *apiError {
	if !strings.HasPrefix(path, "/") || strings.Contains(path, "//") || !parameterName.MatchString(path) {
		return clientError("ValidationException", `The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash "/". `+
			`It can't be prefixed with \"aws\" or \"ssm\" (case-insensitive). `+
			"It must use only letters, numbers, or the following symbols: . (period), - (hyphen), _ (underscore). "+
			`Special characters are not allowed. All sub-paths, if specified, must use the forward slash symbol "/". `+
			"Valid example: /get/parameters2-/by1./path0_.")
	}
	if len(strings.Split(strings.Trim(path, "/"), "/")) > maxParameterLevels {
		// The reference lists no error of its own for this. HierarchyLevelLimitExceededException is PutParameter's.
		return clientError("ValidationException", "A hierarchy can have a maximum of %d levels.", maxParameterLevels)
	}
	return nil
}

// limits checks the constraints of a filter's members.
func (f parameterFilter) limits(limits *constraints, member string) {
	limits.needText(member+"key", f.Key, 132)
	if f.Key != nil && *f.Key != "" && !parameterFilterKey.MatchString(*f.Key) {
		limits.add(member+"key", "'"+*f.Key+"'",
			"Member must satisfy regular expression pattern: tag:.+|Name|Type|KeyId|Path|Label|Tier|DataType")
	}
	limits.text(member+"option", f.Option, 1, 10)
	if f.Values != nil {
		limits.list(member+"values", f.Values, maxParameterFilterValues, maxParameterFilterLength)
	}
}

// checkParameterFilters checks the rules of GetParametersByPath for filters that
// are valid in general.
func checkParameterFilters(filters []parameterFilter) *apiError {
	seen := map[string]bool{}
	for _, f := range filters {
		key, option := *f.Key, cmp.Or(deref(f.Option), "Equals")
		options := []string{"BeginsWith", "Equals"}
		if key == "Label" {
			options = []string{"Equals"}
		}
		switch {
		case key != "Type" && key != "KeyId" && key != "Label":
			return clientError("InvalidFilterKey", "The following filter key is not valid: %s. Valid filter keys include: [Type, KeyId].", key)
		case seen[key]:
			return clientError("InvalidFilterKey", "The following filter is duplicated in the request: %s. A request can contain only one occurrence of a specific filter.", key)
		case len(f.Values) == 0:
			return clientError("InvalidFilterValue", "The following filter values are missing : null for filter key %s.", key)
		case !slices.Contains(options, option):
			return clientError("InvalidFilterOption", "The following filter option is not valid: %s. Valid options include: [%s].", option, strings.Join(options, ", "))
		}
		seen[key] = true
		for _, value := range f.Values {
			if key == "Type" && option == "Equals" && value != typeString && value != typeStringList && value != typeSecureString {
				return clientError("InvalidFilterOption", "The following filter value is not valid: %s. Valid values include: [String, StringList, SecureString].", value)
			}
		}
	}
	return nil
}

// selected returns the version that the filters select: the current one, or with
// a Label filter the newest one that has one of the labels, and that label as
// the selector. Filters are combined with AND, a filter's values with OR. It
// returns nil if the filters exclude the parameter.
func (param *parameter) selected(filters []parameterFilter) (version *parameterVersion, selector string) {
	version = param.current()
	for _, f := range filters {
		switch *f.Key {
		case "Type":
			if !f.matches(param.kind) {
				return nil, ""
			}
		case "KeyId":
			if param.kind != typeSecureString || !f.matches(param.keyID) {
				return nil, ""
			}
		case "Label":
			if version, selector = param.labelled(f.Values); version == nil {
				return nil, ""
			}
		}
	}
	return version, selector
}

// matches reports whether a value equals or begins with one of the filter's.
func (f parameterFilter) matches(value string) bool {
	return slices.ContainsFunc(f.Values, func(wanted string) bool {
		return value == wanted || deref(f.Option) == "BeginsWith" && strings.HasPrefix(value, wanted)
	})
}

// labelled returns the newest version with one of the labels, and that label.
func (param *parameter) labelled(labels []string) (*parameterVersion, string) {
	for _, version := range slices.Backward(param.versions) {
		for _, label := range labels {
			if slices.Contains(version.labels, label) {
				return version, label
			}
		}
	}
	return nil, ""
}

// mayDecrypt checks the permission to decrypt a SecureString. The error is the
// one of KMS, as Parameter Store passes it on.
func (p *parameterStore) mayDecrypt(c *call, param *parameter, decrypted bool) *apiError {
	if !decrypted {
		return nil
	}
	denied := mayDecrypt(c, param.keyARN)
	if denied == nil {
		return nil
	}
	return clientError("AccessDeniedException", "%s (Service: AWSKMS; Status Code: 400; Error Code: AccessDeniedException; Request ID: %s; Proxy: null)",
		denied.Message, newUUID(randomBytes(16)))
}
