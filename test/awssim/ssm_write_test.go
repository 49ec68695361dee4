package awssim

import (
	"fmt"
	"strings"
	"testing"
)

func TestPutParameter(t *testing.T) {
	x := &storeClient{service: newTestParameters(t)}
	for _, e := range []storeExchange{ // in this order
		{name: "new", in: `{"Name": "/new", "Value": "v", "Type": "SecureString"}`, want: `{"Version": 1, "Tier": "Standard"}`},
		{name: "exists", in: `{"Name": "/new", "Value": "w"}`,
			fault: "ParameterAlreadyExists: The parameter already exists. To overwrite this value, set the overwrite option in the request to true."},
		{name: "overwritten, the type stays", in: `{"Name": "/new", "Value": "w", "Overwrite": true}`, want: `{"Version": 2, "Tier": "Standard"}`},
		{name: "overwritten by ARN", in: `{"Name": "` + parameterARN + `new", "Value": "x", "Overwrite": true, "Type": "SecureString"}`, want: `{"Version": 3, "Tier": "Standard"}`},
		{name: "another type", in: `{"Name": "/new", "Value": "w", "Overwrite": true, "Type": "String"}`,
			fault: "HierarchyTypeMismatchException: Parameter Store does not support changing a parameter type in a hierarchy. " +
				"For example, you can't change a parameter from a String type to a SecureString type. You must create a new, unique parameter."},
		{name: "read back", op: "GetParameter", in: `{"Name": "/new", "WithDecryption": true}`, want: `{"Parameter": ` + parameterJSON("/new", "SecureString", "x", 3, "") + `}`},
		{name: "new without a type", in: `{"Name": "/other", "Value": "v"}`, fault: "ValidationException: A parameter type is required when you create a parameter."},
		{name: "unknown type", in: `{"Name": "/other", "Value": "v", "Type": "string"}`,
			fault: "ValidationException: 1 validation error detected: Value 'string' at 'type' failed to satisfy constraint: Member must satisfy enum value set: [SecureString, StringList, String]"},
		{name: "no value", in: `{"Name": "/other", "Type": "String"}`,
			fault: "ValidationException: 1 validation error detected: Value null at 'value' failed to satisfy constraint: Member must not be null"},
		{name: "empty value", in: `{"Name": "/other", "Type": "String", "Value": ""}`,
			fault: "ValidationException: 1 validation error detected: Value at 'value' failed to satisfy constraint: Member must have length greater than or equal to 1"},
		{name: "data type", in: `{"Name": "/other", "Type": "String", "Value": "v", "DataType": "Text"}`,
			fault: "ValidationException: The following data type is not supported: Text (Data type names are all lowercase.)"},
		{name: "tags with overwrite", in: `{"Name": "/new", "Value": "v", "Overwrite": true, "Tags": [{"Key": "a", "Value": "b"}]}`,
			fault: "ValidationException: Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove overwrite flag. " +
				"To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource."},
	} {
		t.Run(e.name, func(t *testing.T) {
			if e.op == "" {
				e.op = "PutParameter"
			}
			e.run(t, x)
		})
	}
}

func TestParameterNameRules(t *testing.T) {
	const form = `ValidationException: Parameter name: can't be prefixed with "ssm" (case-insensitive). If formed as a path, ` +
		"it can consist of sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following 3 symbols .-_"
	const prefix = `ValidationException: Parameter name: can't be prefixed with "aws" or "ssm" (case-insensitive).`
	x := &storeClient{service: newTestParameters(t)}
	for name, fault := range map[string]string{
		"/A-z_0.9":                      "",
		strings.Repeat("/x", 15):        "",
		strings.Repeat("/x", 16):        "HierarchyLevelLimitExceededException: A hierarchy can have a maximum of 15 levels.",
		"a b":                           form,
		"/a//b":                         form,
		"/a/":                           form,
		"/":                             form,
		"/a:1":                          form,
		"a/b":                           "ValidationException: Parameter name must be a fully qualified name.",
		"AWSome":                        prefix,
		"/ssm/x":                        prefix,
		"/aws/x":                        "AccessDeniedException: No access to reserved parameter name: /aws/x.",
		"/" + strings.Repeat("x", 1000): "ValidationException: Parameter name, its ARN included, can't be longer than 1011 characters.",
	} {
		storeExchange{op: "PutParameter", in: `{"Name": "` + name + `", "Value": "v", "Type": "String"}`, fault: fault, want: `{"Version": 1, "Tier": "Standard"}`}.run(t, x)
	}
}

func TestParameterTiers(t *testing.T) {
	const (
		standardLimit = "ValidationException: Standard tier parameters support a maximum parameter value of 4096 characters. " +
			"To create a larger parameter value, upgrade the parameter to use the advanced-parameter tier. For more information, " +
			"see https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html"
		noWayBack = "ValidationException: This parameter uses the advanced-parameter tier. " +
			"You can't downgrade a parameter from the advanced-parameter tier to the standard-parameter tier. " +
			"If necessary, you can delete the advanced parameter and recreate it as a standard parameter."
	)
	x := &storeClient{service: newTestParameters(t)}
	for _, e := range []struct {
		name        string
		size        int
		tier        string
		want, fault string
	}{
		{"/standard", 4096, "", "Standard", ""},
		{"/standard", 4097, "", "", standardLimit},
		{"/standard", 4097, "Standard", "", standardLimit},
		{"/clever", 4096, "Intelligent-Tiering", "Standard", ""},
		{"/clever", 4097, "Intelligent-Tiering", "Advanced", ""},
		{"/clever", 1, "Intelligent-Tiering", "Advanced", ""}, // never returns to the standard tier
		{"/clever", 1, "Standard", "", noWayBack},
		{"/advanced", 1, "Advanced", "Advanced", ""},
		{"/advanced", 8192, "", "Advanced", ""},
		{"/advanced", 8193, "", "", "ValidationException: Advanced tier parameters support a maximum parameter value of 8192 characters."},
	} {
		tier, version := "", 1
		if e.tier != "" {
			tier = `, "Tier": "` + e.tier + `"`
		}
		if param := x.service.(*parameterStore).regions[storeRegion][e.name]; param != nil {
			version = int(param.current().number) + 1
		}
		storeExchange{op: "PutParameter", in: fmt.Sprintf(`{"Name": "%s", "Value": "%s", "Type": "String", "Overwrite": true%s}`, e.name, strings.Repeat("x", e.size), tier),
			fault: e.fault, want: fmt.Sprintf(`{"Version": %d, "Tier": "%s"}`, version, e.want)}.run(t, x)
	}
}

func TestParameterKeepsHundredVersions(t *testing.T) {
	p := newTestParameters(t)
	x := &storeClient{service: p}
	for i := range 101 {
		if got := p.put(storeRegion, "/many", "v"); got != int64(i+1) {
			t.Fatalf("version %d, want %d", got, i+1)
		}
	}
	storeExchange{op: "GetParameter", in: `{"Name": "/many:1"}`, fault: "ParameterVersionNotFound: Systems Manager could not find version 1 of /many. Verify the version and try again."}.run(t, x)
	x.must(t, "LabelParameterVersion", `{"Name": "/many", "ParameterVersion": 2, "Labels": ["keep"]}`)
	storeExchange{op: "PutParameter", in: `{"Name": "/many", "Value": "v", "Overwrite": true}`,
		fault: "ParameterMaxVersionLimitExceeded: You attempted to create a new version of /many by calling the PutParameter API with the overwrite flag. " +
			"Version 2, the oldest version, can't be deleted because it has a label associated with it. Move the label to another version of the parameter, and try again."}.run(t, x)
	if got := p.put(storeRegion, "/many", "v"); got != 0 {
		t.Errorf("version %d, want 0", got)
	}
}

func TestLabelParameterVersion(t *testing.T) {
	x := &storeClient{service: newTestParameters(t)}
	for _, e := range []storeExchange{ // in this order; prod is on 2, test on 3
		{name: "the current version", in: `{"Name": "/app/db", "Labels": ["new"]}`, want: `{"ParameterVersion": 3, "InvalidLabels": []}`},
		{name: "labels move", in: `{"Name": "/app/db", "ParameterVersion": 1, "Labels": ["prod", "prod"]}`, want: `{"ParameterVersion": 1, "InvalidLabels": []}`},
		{name: "moved", op: "GetParameter", in: `{"Name": "/app/db:prod"}`, want: `{"Parameter": ` + parameterJSON("/app/db", "String", "first", 1, ":prod") + `}`},
		{name: "invalid labels are returned", in: `{"Name": "/app/db", "Labels": ["1st", "AWSx", "ssm", "a b", "a/b", "ok.-_1"]}`,
			want: `{"ParameterVersion": 3, "InvalidLabels": ["1st", "AWSx", "ssm", "a b", "a/b"]}`},
		{name: "the other labels are set", op: "GetParameter", in: `{"Name": "/app/db:ok.-_1"}`, want: `{"Parameter": ` + parameterJSON("/app/db", "String", "third", 3, ":ok.-_1") + `}`},
		{name: "up to ten", in: `{"Name": "/app/db", "Labels": ["a", "b", "c", "d", "e", "f", "g"]}`, want: `{"ParameterVersion": 3, "InvalidLabels": []}`},
		{name: "the same again", in: `{"Name": "/app/db", "Labels": ["a", "test"]}`, want: `{"ParameterVersion": 3, "InvalidLabels": []}`},
		{name: "the eleventh", in: `{"Name": "/app/db", "Labels": ["h"]}`, fault: "ParameterVersionLabelLimitExceeded: A parameter version can have a maximum of ten labels."},
		{name: "eleven at once", in: `{"Name": "/app/db", "Labels": ["a","b","c","d","e","f","g","h","i","j","k"]}`,
			fault: "ValidationException: 1 validation error detected: Value '[a, b, c, d, e, f, g, h, i, j, k]' at 'labels' failed to satisfy constraint: Member must have length less than or equal to 10"},
		{name: "missing version", in: `{"Name": "/app/db", "ParameterVersion": 9, "Labels": ["x"]}`,
			fault: "ParameterVersionNotFound: Systems Manager could not find version 9 of /app/db. Verify the version and try again."},
		{name: "missing parameter", in: `{"Name": "/nothing", "Labels": ["x"]}`, fault: "ParameterNotFound: "},
		{name: "no labels", in: `{"Name": "/app/db"}`, fault: "ValidationException: 1 validation error detected: Value null at 'labels' failed to satisfy constraint: Member must not be null"},
	} {
		t.Run(e.name, func(t *testing.T) {
			if e.op == "" {
				e.op = "LabelParameterVersion"
			}
			e.run(t, x)
		})
	}
}

func TestDeleteParameter(t *testing.T) {
	x := &storeClient{service: newTestParameters(t)}
	for _, e := range []storeExchange{ // in this order
		{in: `{"Name": "/app/db:1"}`, fault: "ParameterNotFound: "},
		{in: `{"Name": "/app/db"}`, want: `{}`},
		{in: `{"Name": "/app/db"}`, fault: "ParameterNotFound: "},
	} {
		e.op = "DeleteParameter"
		e.run(t, x)
	}
	if got := (&storeClient{service: x.service, region: "us-east-1"}).must(t, "GetParameter", `{"Name": "/app/db"}`); !strings.Contains(got, "over there") {
		t.Errorf("the other region's parameter is %s", got)
	}
}
