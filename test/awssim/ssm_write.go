// AWS Systems Manager Parameter Store: the write operations.
//
// Sources: API reference of PutParameter (Overwrite, Type, Tier, tags),
// LabelParameterVersion and DeleteParameter; User Guide "Managing parameter
// tiers" (4 KB and 8 KB, no return from the advanced tier) and "Working with
// parameter labels" (ten labels per version, labels move).

package awssim

import (
	"slices"
	"strconv"
)

func (p *parameterStore) putParameter(c *call) (any, *apiError) {
	var in struct {
		Name, Value, Type, Tier, DataType *string
		KeyID                             *string `json:"KeyId"`
		Overwrite                         bool
		Tags                              []any
	}
	if err := decodeInput(c.Body, &in); err != nil {
		return nil, err
	}
	c.Object = deref(in.Name)
	var limits constraints
	if in.Value == nil {
		limits.add("value", "null", "Member must not be null")
	} else {
		limits.sensitive("value", len(*in.Value), 1, 32768)
	}
	limits.oneOf("type", in.Type, typeSecureString, typeStringList, typeString)
	limits.oneOf("tier", in.Tier, tierStandard, tierAdvanced, tierIntelligent)
	ref, err := p.begin(c, "PutParameter", in.Name, &limits)
	if err != nil {
		return nil, err
	}
	if err := p.checkPut(c.Region, ref, deref(in.DataType), in.Overwrite && len(in.Tags) > 0); err != nil {
		return nil, err
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	param := p.regions[c.Region][ref.name]
	switch {
	case param == nil && in.Type == nil:
		return nil, clientError("ValidationException", "A parameter type is required when you create a parameter.")
	case param == nil:
		param = &parameter{region: c.Region, name: ref.name, kind: *in.Type}
	case !in.Overwrite:
		return nil, clientError("ParameterAlreadyExists", "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
	case in.Type != nil && *in.Type != param.kind:
		return nil, clientError("HierarchyTypeMismatchException", "Parameter Store does not support changing a parameter type in a hierarchy. "+
			"For example, you can't change a parameter from a String type to a SecureString type. You must create a new, unique parameter.")
	}
	advanced, err := param.fit(len(*in.Value), deref(in.Tier))
	if err != nil {
		return nil, err
	}
	if !p.setKey(param, deref(in.KeyID)) {
		return nil, clientError("InvalidKeyId", "Invalid keyId %s", *in.KeyID)
	}
	if err := param.addVersion(*in.Value, c.Now); err != nil {
		return nil, err
	}
	param.advanced = advanced
	p.add(param)
	return struct {
		Tier    string
		Version int64
	}{param.tier(), param.current().number}, nil
}

// checkPut checks the rules of PutParameter that do not depend on stored parameters.
func (p *parameterStore) checkPut(region string, ref parameterRef, dataType string, overwriteWithTags bool) *apiError {
	switch {
	case ref.selector != "" || ref.name == "": // of another account, or one version of a parameter
		return checkParameterChars(ref.requested)
	case overwriteWithTags:
		return clientError("ValidationException", "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag. "+
			"To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource.")
	case dataType != "" && dataType != "text":
		return clientError("ValidationException", "The following data type is not supported: %s (Data type names are all lowercase.)", dataType)
	}
	return p.checkNewParameter(region, ref.name)
}

// fit selects the tier of a new value: the requested tier, or the parameter's
// own. Intelligent tiering selects by size.
func (param *parameter) fit(size int, tier string) (advanced bool, err *apiError) {
	advanced = param.advanced || tier == tierAdvanced || tier == tierIntelligent && size > maxStandardBytes
	switch {
	case tier == tierStandard && param.advanced:
		return false, clientError("ValidationException", "This parameter uses the advanced-parameter tier. "+
			"You can't downgrade a parameter from the advanced-parameter tier to the standard-parameter tier. "+
			"If necessary, you can delete the advanced parameter and recreate it as a standard parameter.")
	case !advanced && size > maxStandardBytes:
		return false, clientError("ValidationException", "Standard tier parameters support a maximum parameter value of 4096 characters. "+
			"To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier. For more information, "+
			"see https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html")
	case size > maxAdvancedBytes:
		return false, clientError("ValidationException", "Advanced tier parameters support a maximum parameter value of 8192 characters.")
	}
	return advanced, nil
}

func (p *parameterStore) labelParameterVersion(c *call) (any, *apiError) {
	var in struct {
		Name             *string
		ParameterVersion *int64
		Labels           []string
	}
	if err := decodeInput(c.Body, &in); err != nil {
		return nil, err
	}
	c.Object = deref(in.Name)
	var limits constraints
	if in.Labels == nil {
		limits.add("labels", "null", "Member must not be null")
	} else {
		limits.list("labels", in.Labels, maxParameterLabels, maxLabelLength)
	}
	ref, err := p.begin(c, "LabelParameterVersion", in.Name, &limits)
	if err != nil {
		return nil, err
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	param := p.regions[c.Region][ref.name]
	if param == nil || ref.selector != "" {
		return nil, parameterNotFound()
	}
	version := param.current()
	if in.ParameterVersion != nil {
		if version = param.version(*in.ParameterVersion); version == nil {
			return nil, parameterVersionNotFound(param.name, strconv.FormatInt(*in.ParameterVersion, 10))
		}
	}
	out := struct {
		InvalidLabels    []string
		ParameterVersion int64
	}{[]string{}, version.number}
	var labels []string
	for _, label := range in.Labels {
		switch {
		case !validLabel(label):
			out.InvalidLabels = append(out.InvalidLabels, label)
		case !slices.Contains(labels, label):
			labels = append(labels, label)
		}
	}
	added := slices.DeleteFunc(slices.Clone(labels), func(l string) bool { return slices.Contains(version.labels, l) })
	if len(version.labels)+len(added) > maxParameterLabels {
		return nil, clientError("ParameterVersionLabelLimitExceeded", "A parameter version can have a maximum of ten labels.")
	}
	param.label(version, labels)
	return out, nil
}

func (p *parameterStore) deleteParameter(c *call) (any, *apiError) {
	var in struct{ Name *string }
	if err := decodeInput(c.Body, &in); err != nil {
		return nil, err
	}
	c.Object = deref(in.Name)
	ref, err := p.begin(c, "DeleteParameter", in.Name, new(constraints))
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.regions[c.Region][ref.name] == nil || ref.selector != "" {
		return nil, parameterNotFound()
	}
	delete(p.regions[c.Region], ref.name)
	return struct{}{}, nil
}
