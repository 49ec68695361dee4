package class_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/provider/class"
)

// A class in the form of another provider gets a message that names the provider.
func TestI9_FormsOfOtherProvidersAreNamed(t *testing.T) {
	const azureText = "is a string, not a mapping of fields: the | after the dash is the form of the Azure provider, remove it"
	for name, tt := range map[string]struct {
		objects      string
		more         params
		want         []class.Fault
		wantWarnings []string
	}{
		"Azure": {
			lines("array:", "  - |", "    objectName: db", "    objectType: secret"), params{"keyvaultName": "kv"},
			[]class.Fault{{Field: "objects", Line: 1, Column: 1, Message: "is in the form of the Azure provider, a list of texts under array: write a list instead, with - objectName: NAME and objectType: secretsmanager or ssmparameter for each object"}},
			[]string{"keyvaultName: is a parameter of the Azure provider and was ignored: remove it"},
		},
		"Azure without array": {
			lines("- |", "  objectName: db", "  objectType: secret", "- db"), nil,
			[]class.Fault{
				{Field: "objects[0]", Line: 1, Column: 3, Message: azureText},
				{Field: "objects[1]", Line: 4, Column: 3, Message: "is a string, not a mapping of fields"},
			},
			nil,
		},
		"Google": {
			"", params{"secrets": lines("- resourceName: projects/p/secrets/db/versions/latest", "  path: db")},
			[]class.Fault{{Field: "objects", Message: "is missing or empty: list at least one object with objectName and objectType"}},
			[]string{"secrets: is a parameter of the Google provider and was ignored: provider aws reads objects, a list of objectName and objectType"},
		},
		"Google's fields": {
			lines("- resourceName: projects/p/secrets/db/versions/latest", "  fileName: db"), nil,
			[]class.Fault{{Field: "objects[0]", Line: 1, Column: 3, Message: "has no objectName"}},
			[]string{
				`objects[0] (line 1): "resourceName" is a field of the Google provider and was ignored: provider aws reads objectName, the name or ARN in AWS`,
				`objects[0] (line 2): "fileName" is a field of the Google provider and was ignored: provider aws reads objectAlias, the file's name`,
			},
		},
		"Vault": {
			lines("- objectName: password", "  secretPath: secret/data/db", "  secretKey: password"), params{"roleName": "app"},
			[]class.Fault{{Field: "objects[0]", Line: 1, Column: 3, Message: `"password" has no objectType: set it to secretsmanager or ssmparameter, or set objectName to the ARN`}},
			[]string{
				`objects[0] (line 2): "secretPath" is a field of the Vault provider and was ignored: provider aws reads objectName, the name or ARN in AWS, and objectAlias, the file's name`,
				`objects[0] (line 3): "secretKey" is a field of the Vault provider and was ignored: provider aws reads jmesPath, a list of path (the key) and objectAlias (the file's name)`,
				"roleName: is a parameter of the Vault provider and was ignored: the role is the annotation of the ServiceAccount, or roleArn",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := class.Parse(withObjects(tt.objects, tt.more), region)
			wantFaults(t, faultsIn(t, err), tt.want...)
			if diff := cmp.Diff(tt.wantWarnings, warnings(c)); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

// A jmesPath that reads nothing of the secret writes its own text.
func TestI9_ConstantExpressionsGiveWarnings(t *testing.T) {
	const constant = " is a constant: the file gets its text instead of a value of the secret: "
	for path, want := range map[string]string{
		"\"'db-key'\"":            `"'db-key'"` + constant + `to read the key db-key, write path: '"db-key"'`,
		"'`\"db-key\"`'":          "\"`\\\"db-key\\\"`\"" + constant + `to read the key db-key, write path: '"db-key"'`,
		"\"'my key'\"":            `"'my key'"` + constant + "name a key of the secret",
		"'`7`'":                   "\"`7`\"" + constant + "name a key of the secret",
		"\"length('db')\"":        `"length('db')"` + constant + "name a key of the secret",
		"\"user | 'db'\"":         `"user | 'db'"` + constant + "name a key of the secret",
		"'\"db-key\"'":            "",
		"\"user || 'root'\"":      "",
		"\"join('@', [a, 'b'])\"": "",
		"\"[?name=='x'].value\"":  "",
		"'@'":                     "",
	} {
		var list []string
		if want != "" {
			list = []string{"objects[0].jmesPath[0].path (line 4): " + want}
		}
		got := warnings(parse(t, secret("a")+lines("  jmesPath:", "    - path: "+path, "      objectAlias: x"), nil))
		if diff := cmp.Diff(list, got); diff != "" {
			t.Errorf("path %s: warnings (-want +got):\n%s", path, diff)
		}
	}
}

// White space at an end of a file name is probably not meant.
func TestI9_SpaceInAnAliasGivesAWarning(t *testing.T) {
	c := parse(t, secret("a")+lines("  objectAlias: 'b '", "  jmesPath: [{path: x, objectAlias: \"\\tc d\"}]"), nil)
	wantFiles(t, c, "b ", "\tc d < x")
	want := []string{
		`objects[0].objectAlias (line 3): "b " begins or ends with white space, which becomes part of the file name: write "b"`,
		`objects[0].jmesPath[0].objectAlias (line 4): "\tc d" begins or ends with white space, which becomes part of the file name: write "c d"`,
	}
	if diff := cmp.Diff(want, warnings(c)); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}
