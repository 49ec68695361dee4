package class_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/provider/class"
)

func TestK16_YAMLAndJSON(t *testing.T) {
	for _, tt := range []struct{ name, text string }{
		{"block", lines("- objectName: a", "  objectType: secretsmanager", "- objectName: b", "  objectType: ssmparameter")},
		{"indented block", lines("  - objectName: a", "    objectType: secretsmanager", "  - objectName: b", "    objectType: ssmparameter")},
		{"dash alone", lines("-", "  objectName: a", "  objectType: secretsmanager", "-", "  objectName: b", "  objectType: ssmparameter")},
		{"flow", "[{objectName: a, objectType: secretsmanager}, {objectName: b, objectType: ssmparameter}]"},
		{"JSON", `[{"objectName":"a","objectType":"secretsmanager"},{"objectName":"b","objectType":"ssmparameter"}]`},
		{"JSON over lines, with tabs", "[\n\t{\n\t\t\"objectName\": \"a\",\n\t\t\"objectType\": \"secretsmanager\"\n\t},\n\t{\"objectName\":\"b\",\"objectType\":\"ssmparameter\"}\n]\n"},
		{"Windows line ends", "- objectName: a\r\n  objectType: secretsmanager\r\n- objectName: b\r\n  objectType: ssmparameter\r\n"},
		{"comments and blank lines", "# ours\n\n- objectName: a # the first\n  objectType: secretsmanager\n\n# the second\n- objectName: b\n  objectType: ssmparameter\n"},
		{"document markers", "---\n- {objectName: a, objectType: secretsmanager}\n- {objectName: b, objectType: ssmparameter}\n...\n"},
		{"byte order mark", "\ufeff- {objectName: a, objectType: secretsmanager}\n- {objectName: b, objectType: ssmparameter}\n"},
		{"null fields", lines("- objectName: a", "  objectType: secretsmanager", "  objectAlias: null", "  objectVersion: ~", "  objectVersionLabel:",
			"  filePermission: null", "  jmesPath: null", "  failoverObject: null", "- objectName: b", "  objectType: ssmparameter", "  jmesPath: []", "  failoverObject: {}")},
		{"empty fields", `[{"objectName":"a","objectType":"secretsmanager","objectAlias":"","objectVersion":"","filePermission":""},{"objectName":"b","objectType":"ssmparameter"}]`},
		{"anchors", lines("- objectName: a", "  objectType: &t secretsmanager", "  objectVersionLabel: &none ''", "- objectName: b", "  objectType: ssmparameter", "  objectAlias: *none")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := []class.Object{
				{Name: "a", Type: class.SecretsManager, Files: []class.FileSpec{{Path: "a"}}},
				{Name: "b", Type: class.SSMParameter, Files: []class.FileSpec{{Path: "b"}}},
			}
			spc := parse(t, tt.text, nil)
			if diff := cmp.Diff(want, spc.Objects, plain); diff != "" {
				t.Errorf("objects (-want +got):\n%s", diff)
			}
			if len(spc.Warnings) != 0 {
				t.Errorf("warnings %q, want none", spc.Warnings)
			}
		})
	}
}

func TestI5_EmptyObjectsAreRefusedInWords(t *testing.T) {
	missing := class.Fault{Field: "objects", Message: "is missing or empty: list at least one object with objectName and objectType"}
	empty := func(line, column int) class.Fault {
		return class.Fault{Field: "objects", Line: line, Column: column, Message: "is empty: list at least one object with objectName and objectType"}
	}
	wantFaults(t, faultsOf(t, params{}), missing)
	wantFaults(t, faultsOf(t, nil), missing)
	for text, want := range map[string]class.Fault{
		"": missing, " \n\n": missing, "# nothing here\n": missing, "\ufeff": missing,
		"[]": empty(1, 1), "null": empty(1, 1), "~": empty(1, 1), "\n  []\n": empty(2, 3), "---\n[ ]\n": empty(2, 1), "---\n": empty(2, 1),
	} {
		t.Run(text, func(t *testing.T) { wantFaults(t, faults(t, text, nil), want) })
	}
}

func TestK16_ObjectsMustBeAList(t *testing.T) {
	for text, kind := range map[string]string{
		"objectName: a\nobjectType: secretsmanager\n": "a mapping",
		`{"objectName":"a"}`:                          "a mapping",
		"prod/db":                                     "a string",
		"42":                                          "a string",
		"true":                                        "a string",
		"|\n  - objectName: a\n":                      "a string", // a block scalar too many: the commonest slip of all
	} {
		t.Run(text, func(t *testing.T) {
			wantFaults(t, faults(t, text, nil), class.Fault{
				Field: "objects", Line: 1, Column: 1, Message: "is " + kind + ", not a list: begin each object with a dash",
			})
		})
	}
}

func TestK17_EntriesMustBeMappings(t *testing.T) {
	wantFaults(t, faults(t, lines("- null", "-", "- prod/db", "- [a]", "- 7", "- {objectName: fine, objectType: secretsmanager}"), nil),
		class.Fault{Field: "objects[0]", Line: 1, Column: 3, Message: "is empty (null), not a mapping of fields"},
		class.Fault{Field: "objects[1]", Line: 2, Column: 2, Message: "is empty (null), not a mapping of fields"},
		class.Fault{Field: "objects[2]", Line: 3, Column: 3, Message: "is a string, not a mapping of fields"},
		class.Fault{Field: "objects[3]", Line: 4, Column: 3, Message: "is a list, not a mapping of fields"},
		class.Fault{Field: "objects[4]", Line: 5, Column: 3, Message: "is a string, not a mapping of fields"},
	)
}

func TestK17_FieldsMustBeTexts(t *testing.T) {
	wantFaults(t, faults(t, lines(
		"- objectName: [a]",
		"  objectType: {b: c}",
		"  objectAlias: [d]",
		"  objectVersion: {}",
		"  objectVersionLabel: []",
		"  filePermission: [0400]",
	), nil),
		class.Fault{Field: "objects[0].objectName", Line: 1, Column: 15, Message: "is a list, not a string"},
		class.Fault{Field: "objects[0].objectType", Line: 2, Column: 15, Message: "is a mapping, not a string"},
		class.Fault{Field: "objects[0].objectAlias", Line: 3, Column: 16, Message: "is a list, not a string"},
		class.Fault{Field: "objects[0].objectVersion", Line: 4, Column: 18, Message: "is a mapping, not a string"},
		class.Fault{Field: "objects[0].objectVersionLabel", Line: 5, Column: 23, Message: "is a list, not a string"},
		class.Fault{Field: "objects[0].filePermission", Line: 6, Column: 19, Message: "is a list, not a string"},
		class.Fault{Field: "objects[0]", Line: 1, Column: 3, Message: "has no objectName"},
	)
}

func TestK17_JMESPathMustBeAListOfMappings(t *testing.T) {
	const notList = ", not a list of path and objectAlias"
	for text, want := range map[string][]class.Fault{
		"user":                      {{Field: "objects[0].jmesPath", Line: 3, Column: 13, Message: "is a string" + notList}},
		"{path: a, objectAlias: b}": {{Field: "objects[0].jmesPath", Line: 3, Column: 13, Message: "is a mapping" + notList}},
		"7":                         {{Field: "objects[0].jmesPath", Line: 3, Column: 13, Message: "is a string" + notList}},
		"[user, null, []]": {
			{Field: "objects[0].jmesPath[0]", Line: 3, Column: 14, Message: "is a string, not a mapping of fields"},
			{Field: "objects[0].jmesPath[1]", Line: 3, Column: 20, Message: "is empty (null), not a mapping of fields"},
			{Field: "objects[0].jmesPath[2]", Line: 3, Column: 26, Message: "is a list, not a mapping of fields"},
		},
		"[{path: [a], objectAlias: {b: c}}]": {
			{Field: "objects[0].jmesPath[0].path", Line: 3, Column: 21, Message: "is a list, not a string"},
			{Field: "objects[0].jmesPath[0].objectAlias", Line: 3, Column: 39, Message: "is a mapping, not a string"},
			{Field: "objects[0].jmesPath[0]", Line: 3, Column: 14, Message: "has no path: set it to the part of the JSON value to write"},
			{Field: "objects[0].jmesPath[0]", Line: 3, Column: 14, Message: "has no objectAlias: set it to the name of the file to write"},
		},
		"[{path: a}, {objectAlias: b}, {}]": {
			{Field: "objects[0].jmesPath[0]", Line: 3, Column: 14, Message: "has no objectAlias: set it to the name of the file to write"},
			{Field: "objects[0].jmesPath[1]", Line: 3, Column: 25, Message: "has no path: set it to the part of the JSON value to write"},
			{Field: "objects[0].jmesPath[2]", Line: 3, Column: 43, Message: "has no path: set it to the part of the JSON value to write"},
			{Field: "objects[0].jmesPath[2]", Line: 3, Column: 43, Message: "has no objectAlias: set it to the name of the file to write"},
		},
	} {
		t.Run(text, func(t *testing.T) {
			wantFaults(t, faults(t, secret("a")+"  jmesPath: "+text+"\n", nil), want...)
		})
	}
}

func TestK18_NamesAreRequired(t *testing.T) {
	for _, name := range []string{"", "''", "null", "~"} {
		wantFaults(t, faults(t, secret(name), nil), class.Fault{Field: "objects[0]", Line: 1, Column: 3, Message: "has no objectName"})
	}
	wantFaults(t, faults(t, "- {}\n- objectAlias: a\n", nil),
		class.Fault{Field: "objects[0]", Line: 1, Column: 3, Message: "has no objectName"},
		class.Fault{Field: "objects[1]", Line: 2, Column: 3, Message: "has no objectName"},
	)
}

func TestK16_BrokenYAMLNamesTheLine(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		line       int // 0 where the YAML parser names none
		want       string
	}{
		{"tab as indent", "- objectName: a\n\tobjectType: secretsmanager\n", 2, "found a tab character that violates indentation"},
		{"open quote", "- objectName: \"a\n  objectType: secretsmanager\n", 3, "found unexpected end of stream"},
		{"indent", "- objectName: a\n objectType: secretsmanager\n", 1, "did not find expected '-' indicator"},
		{"colon in a name", "- objectName: a: b\n", 0, "mapping values are not allowed in this context"},
		{"unknown anchor", "- *nobody\n", 0, "unknown anchor 'nobody' referenced"},
		{"open bracket", "[{objectName: a}", 1, "did not find expected ',' or ']'"},
		{"NUL", "- objectName: a\x00b\n", 0, "control characters are not allowed"},
		{"Latin-1", "- objectName: caf\xe9\n", 0, "incomplete UTF-8 octet sequence"},
		{"endless anchor", "- *" + strings.Repeat("a", 5000) + "\n", 0, "unknown anchor '" + strings.Repeat("a", 184) + "…"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := faults(t, tt.text, nil)
			if len(got) != 1 || got[0].Field != "objects" || got[0].Line != tt.line || !strings.HasPrefix(got[0].Message, "is not valid YAML: ") || !strings.Contains(got[0].Message, tt.want) {
				t.Errorf("faults %+v, want one of `objects`, line %d: is not valid YAML: … %s", got, tt.line, tt.want)
			}
		})
	}
}

func TestK16_OneDocument(t *testing.T) {
	for _, text := range []string{secret("a") + "---\n" + secret("b"), "---\n---\n", secret("a") + "...\n" + secret("b")} {
		wantFaults(t, faults(t, text, nil), class.Fault{Field: "objects", Message: "contains more than one YAML document: write one list"})
	}
}

func TestK19_FieldNamesInAnyCaseAreWarnedOf(t *testing.T) {
	spc := parse(t, lines(
		"- ObjectName: a",
		"  objecttype: secretsmanager",
		"  OBJECTALIAS: b",
		"  JmesPath: [{Path: x, objectalias: c}]",
	), nil)
	wantFiles(t, spc, "b", "c < x")
	want := []string{
		`objects[0] (line 1): "ObjectName" was read as objectName`,
		`objects[0] (line 2): "objecttype" was read as objectType`,
		`objects[0] (line 3): "OBJECTALIAS" was read as objectAlias`,
		`objects[0] (line 4): "JmesPath" was read as jmesPath`,
		`objects[0].jmesPath[0] (line 4): "Path" was read as path`,
		`objects[0].jmesPath[0] (line 4): "objectalias" was read as objectAlias`,
	}
	if diff := cmp.Diff(want, warnings(spc)); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestI9_UnknownFieldsAreWarnedOf(t *testing.T) {
	spc := parse(t, lines(
		"- objectName: a",
		"  objectType: secretsmanager",
		"  objectAlas: b",
		"  colour: {red: 1}",
		"  jmesPath: [{path: x, objectAlias: c, mode: '0400', object_alias: d}]",
		"  ? [complex, key]",
		"  : 1",
	), nil)
	wantFiles(t, spc, "a", "c < x")
	want := []string{
		`objects[0] (line 3): "objectAlas" is not a known field and was ignored (did you mean objectAlias?)`,
		`objects[0] (line 4): "colour" is not a known field and was ignored`,
		`objects[0].jmesPath[0] (line 5): "mode" is not a known field and was ignored`,
		`objects[0].jmesPath[0] (line 5): "object_alias" is not a known field and was ignored (did you mean objectAlias?)`,
		`objects[0] (line 6): "" is not a known field and was ignored`,
	}
	if diff := cmp.Diff(want, warnings(spc)); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestK20_DuplicateFieldsAreRefused(t *testing.T) {
	wantFaults(t, faults(t, lines(
		"- objectName: a",
		"  objectType: secretsmanager",
		"  objectName: b",
		"  ObjectType: ssmparameter",
		"  \"x\\e\": 1",
		"  \"x\\e\": 2",
		"  jmesPath: [{path: x, objectAlias: c, path: y}]",
		"  jmesPath: []",
	), nil),
		class.Fault{Field: "objects[0]", Line: 3, Column: 3, Message: `has the field "objectName" twice`},
		class.Fault{Field: "objects[0]", Line: 4, Column: 3, Message: `has the field "objectType" twice`},
		class.Fault{Field: "objects[0]", Line: 6, Column: 3, Message: `has the field "x\x1b" twice`},
		class.Fault{Field: "objects[0].jmesPath[0]", Line: 7, Column: 40, Message: `has the field "path" twice`},
		class.Fault{Field: "objects[0]", Line: 8, Column: 3, Message: `has the field "jmesPath" twice`},
	)
}

func TestK20_MergeKeysAreRefused(t *testing.T) {
	got := faults(t, lines("- &base {objectName: a, objectType: secretsmanager}", "- <<: *base", "  objectName: b", "  objectType: secretsmanager"), nil)
	wantFaults(t, got, class.Fault{Field: "objects[1]", Line: 2, Column: 3, Message: "uses a YAML merge key (<<): write its fields out"})

	spc := parse(t, secret("a")+"  '<<': x\n", nil) // quoted it is an ordinary, unknown field
	if diff := cmp.Diff([]string{`objects[0] (line 3): "<<" is not a known field and was ignored`}, warnings(spc)); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestK21_AliasesAreFollowed(t *testing.T) {
	spc := parse(t, lines(
		"- objectName: &name prod/db",
		"  objectType: &type secretsmanager",
		"  objectAlias: one",
		"  jmesPath: [{path: &expr user, objectAlias: one-user}]",
		"- objectName: *name",
		"  objectType: *type",
		"  objectAlias: two",
		"  jmesPath: [{path: *expr, objectAlias: two-user}]",
	), nil)
	wantFiles(t, spc, "one", "one-user < user", "two", "two-user < user")

	// A fault in what an alias stands for is at the place of the alias where that is an entry.
	wantFaults(t, faults(t, lines("- &a {objectName: x, objectType: secretsmanager}", "- *a"), nil), class.Fault{
		Field: "objects[1]", Line: 2, Column: 3,
		Message: `secret "x" and objects[0] (secret "x") both write the file "x": give each its own objectAlias`,
	})
}

func TestK21_AnchorsThatHoldThemselves(t *testing.T) {
	wantFaults(t, faults(t, "&a [*a]\n", nil),
		class.Fault{Field: "objects[0]", Line: 1, Column: 1, Message: "is a list, not a mapping of fields"})
	wantFaults(t, faults(t, "- &a {objectName: x, objectType: secretsmanager, jmesPath: [*a]}\n", nil),
		class.Fault{Field: "objects[0].jmesPath[0]", Line: 1, Column: 61, Message: "has no path: set it to the part of the JSON value to write"},
		class.Fault{Field: "objects[0].jmesPath[0]", Line: 1, Column: 61, Message: "has no objectAlias: set it to the name of the file to write"},
	)
}

func TestT31_ObjectsAreBounded(t *testing.T) {
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(secret(fmt.Sprintf("s%d", i)))
		}
		return b.String()
	}
	if spc := parse(t, many(500), nil); len(spc.Objects) != 500 {
		t.Errorf("%d objects, want 500", len(spc.Objects))
	}
	wantFaults(t, faults(t, many(501), nil), class.Fault{Field: "objects", Message: "lists 501 objects; one volume takes at most 500"})
}
