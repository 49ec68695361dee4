// AWS Systems Manager Parameter Store: the seed, the dispatch, and the read
// operations.
//
// Sources: AWS Systems Manager API reference (GetParameters, GetParameter, data
// type Parameter) for members, limits, selectors, alphabetical order and trimmed
// spaces; Service Authorization Reference "AWS
// Systems Manager" (resource parameter/<name without its first slash>, checked for
// each name of GetParameters). The response to a request by ARN has the plain
// name: recorded from the live service (LocalStack's snapshots of 2024 and 2025).

package awssim

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	maxParameterNameLength = 2048
	maxParameterBatch      = 10
)

// Parameter is one initial parameter of the simulator.
type Parameter struct {
	Region string `yaml:"region"`
	Name   string `yaml:"name"` // "/app/db" or "db", as in PutParameter
	// Type is String, StringList or SecureString. Default: String.
	Type string `yaml:"type"`
	// Value is the only version, number 1. Up to 8192 bytes; above 4096 the
	// parameter is in the advanced tier.
	Value string `yaml:"value"`
	// Versions are the values of versions 1, 2, … They exclude Value.
	Versions []string `yaml:"versions"`
	// Labels maps label → version number.
	Labels map[string]int64 `yaml:"labels"`
	// KeyID is the KMS key of a SecureString: a key's ARN or id. Default:
	// alias/aws/ssm. Decryption with another key needs kms:Decrypt on its ARN.
	KeyID string `yaml:"keyID"`
}

// parameterStore is Parameter Store of one account in all regions.
type parameterStore struct {
	account   string
	now       func() time.Time
	tokens    pageTokens
	scanLimit int // see Config.ScanLimit

	mu      sync.Mutex
	regions map[string]map[string]*parameter // region → name → parameter
}

// newParameterStore creates a store with the given parameters. It reports all
// faults of all parameters.
func newParameterStore(account string, params []Parameter, now func() time.Time) (*parameterStore, error) {
	p := &parameterStore{account: account, now: now, tokens: newPageTokens(), regions: map[string]map[string]*parameter{}}
	var faults []error
	for _, seed := range params {
		if err := p.seed(seed); err != nil {
			faults = append(faults, fmt.Errorf("parameter %q in region %q: %w", seed.Name, seed.Region, err))
		}
	}
	return p, errors.Join(faults...)
}

func (p *parameterStore) seed(seed Parameter) error {
	kind, values := cmp.Or(seed.Type, typeString), seed.Versions
	switch {
	case seed.Region == "":
		return errors.New("region is missing")
	case p.regions[seed.Region][seed.Name] != nil:
		return errors.New("is there twice")
	case kind != typeString && kind != typeStringList && kind != typeSecureString:
		return fmt.Errorf("type %q is not String, StringList or SecureString", seed.Type)
	case (seed.Value == "") == (len(values) == 0):
		return errors.New("needs either a value or versions")
	case len(values) > maxParameterVersions:
		return fmt.Errorf("has more than %d versions", maxParameterVersions)
	}
	if err := p.checkNewParameter(seed.Region, seed.Name); err != nil {
		return err
	}
	if seed.Value != "" {
		values = []string{seed.Value}
	}
	param := &parameter{region: seed.Region, name: seed.Name, kind: kind}
	if !p.setKey(param, seed.KeyID) {
		return fmt.Errorf("keyID %q is neither a KMS key's ARN or id nor %s, or the type is not SecureString", seed.KeyID, parameterKey)
	}
	for i, value := range values {
		if value == "" || len(value) > maxAdvancedBytes {
			return fmt.Errorf("version %d: value is not 1 to %d bytes", i+1, maxAdvancedBytes)
		}
		if err := param.addVersion(value, p.now()); err != nil {
			return err
		}
	}
	for label, number := range seed.Labels {
		version := param.version(number)
		switch {
		case !validLabel(label) || len(label) > maxLabelLength:
			return fmt.Errorf("label %q is not valid", label)
		case version == nil:
			return fmt.Errorf("label %q: there is no version %d", label, number)
		case len(version.labels) == maxParameterLabels:
			return fmt.Errorf("version %d has more than %d labels", number, maxParameterLabels)
		}
		param.label(version, []string{label})
	}
	p.add(param)
	return nil
}

// setKey sets the KMS key of a SecureString. It returns false if the key is not
// valid, or if the parameter cannot have one.
func (p *parameterStore) setKey(param *parameter, keyID string) bool {
	if param.kind != typeSecureString {
		return keyID == ""
	}
	arn, known := customerKey(keyID, parameterKey, param.region, p.account)
	param.keyID, param.keyARN = cmp.Or(keyID, parameterKey), arn
	return known
}

func (p *parameterStore) add(param *parameter) {
	if p.regions[param.region] == nil {
		p.regions[param.region] = map[string]*parameter{}
	}
	p.regions[param.region][param.name] = param
}

// remove lets tests delete a parameter. It reports whether it existed.
func (p *parameterStore) remove(region, name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := p.regions[region][name] != nil
	delete(p.regions[region], name)
	return found
}

// put lets tests create a parameter of type String, or add a version. It skips
// permissions and limits. It returns the version's number, or 0 if the oldest of
// a hundred versions has a label.
func (p *parameterStore) put(region, name, value string) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	param := p.regions[region][name]
	if param == nil {
		param = &parameter{region: region, name: name, kind: typeString}
		p.add(param)
	}
	if err := param.addVersion(value, p.now()); err != nil {
		return 0
	}
	return param.current().number
}

// handle runs one operation.
func (p *parameterStore) handle(op string, c *call) (any, *apiError) {
	switch op {
	case "GetParameters":
		return p.getParameters(c)
	case "GetParameter":
		return p.getParameter(c)
	case "GetParametersByPath":
		return p.getParametersByPath(c)
	case "PutParameter":
		return p.putParameter(c)
	case "LabelParameterVersion":
		return p.labelParameterVersion(c)
	case "DeleteParameter":
		return p.deleteParameter(c)
	}
	return nil, unknownOperation()
}

// parameterNotFound has no message, like the service's.
func parameterNotFound() *apiError { return clientError("ParameterNotFound", "") }

func parameterVersionNotFound(name, version string) *apiError {
	return clientError("ParameterVersionNotFound", "Systems Manager could not find version %s of %s. Verify the version and try again.", version, name)
}

// resolve is ref with the lock held, and checks the name's characters.
func (p *parameterStore) resolve(c *call, requested string) (parameterRef, *apiError) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ref := p.ref(c.Region, requested)
	if strings.HasPrefix(ref.requested, "arn:") {
		return ref, nil
	}
	return ref, checkParameterChars(ref.name)
}

// begin starts every operation on one parameter: constraints, form of the name,
// permission.
func (p *parameterStore) begin(c *call, action string, name *string, limits *constraints) (parameterRef, *apiError) {
	limits.needText("name", name, maxParameterNameLength)
	if err := limits.err(); err != nil {
		return parameterRef{}, err
	}
	ref, err := p.resolve(c, *name)
	if err != nil {
		return ref, err
	}
	return ref, c.Allowed("ssm:"+action, ref.arn)
}

// parameterOutput is the API's data type Parameter.
type parameterOutput struct {
	ARN              string
	DataType         string
	LastModifiedDate float64
	Name             string // without selector, even if requested by ARN
	Selector         string `json:",omitempty"` // ":3" or ":label", as requested
	Type             string
	Value            string
	Version          int64
}

func (p *parameterStore) output(param *parameter, v *parameterVersion, selector string, decrypted bool) parameterOutput {
	value := v.value
	if param.kind == typeSecureString && !decrypted {
		value = param.ciphertext(v)
	}
	if selector != "" {
		selector = ":" + selector
	}
	return parameterOutput{
		ARN: p.arn(param.region, param.name), DataType: "text", LastModifiedDate: epoch(v.modified),
		Name: param.name, Selector: selector, Type: param.kind, Value: value, Version: v.number,
	}
}

func (p *parameterStore) getParameters(c *call) (any, *apiError) {
	var in struct {
		Names          []string
		WithDecryption bool
	}
	if err := decodeInput(c.Body, &in); err != nil {
		return nil, err
	}
	c.Object = strings.Join(in.Names, ",")
	var limits constraints
	if in.Names == nil {
		limits.add("names", "null", "Member must not be null")
	} else {
		limits.list("names", in.Names, maxParameterBatch, maxParameterNameLength)
	}
	if err := limits.err(); err != nil {
		return nil, err
	}
	refs := make([]parameterRef, len(in.Names))
	for i, name := range in.Names {
		ref, err := p.resolve(c, name)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(refs[:i], func(r parameterRef) bool { return r.requested == ref.requested }) {
			return nil, clientError("ValidationException", "Duplicate parameter names are not allowed in a request: %s", ref.requested)
		}
		refs[i] = ref
	}
	for _, ref := range refs { // one denial denies the whole request
		if err := c.Allowed("ssm:GetParameters", ref.arn); err != nil {
			return nil, err
		}
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	out := struct {
		InvalidParameters []string
		Parameters        []parameterOutput
	}{[]string{}, []parameterOutput{}}
	for _, ref := range refs {
		param, version := p.find(c.Region, ref)
		if version == nil {
			out.InvalidParameters = append(out.InvalidParameters, ref.requested)
			continue
		}
		if err := p.mayDecrypt(c, param, in.WithDecryption); err != nil {
			return nil, err
		}
		out.Parameters = append(out.Parameters, p.output(param, version, ref.selector, in.WithDecryption))
	}
	slices.SortFunc(out.Parameters, func(a, b parameterOutput) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Selector, b.Selector))
	})
	return out, nil
}

func (p *parameterStore) getParameter(c *call) (any, *apiError) {
	var in struct {
		Name           *string
		WithDecryption bool
	}
	if err := decodeInput(c.Body, &in); err != nil {
		return nil, err
	}
	c.Object = deref(in.Name)
	ref, err := p.begin(c, "GetParameter", in.Name, new(constraints))
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	param, version := p.find(c.Region, ref)
	switch {
	case param == nil:
		return nil, parameterNotFound()
	case version == nil:
		return nil, parameterVersionNotFound(param.name, ref.selector)
	}
	if err := p.mayDecrypt(c, param, in.WithDecryption); err != nil {
		return nil, err
	}
	return struct{ Parameter parameterOutput }{p.output(param, version, ref.selector, in.WithDecryption)}, nil
}
