package class_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/provider/class"
	"secrets-provider-aws/provider/document"
)

// flow is an entry of `objects`, with its fields in the flow style.
func flow(fields string) string { return "- {" + fields + "}\n" }

const db = "objectName: prod/db, objectType: secretsmanager, "

func TestL1_FieldsOfObjects(t *testing.T) {
	c := parse(t, lines(
		"- objectName: prod/db",
		"  objectType: secretsmanager",
		"  format: files",
		"  objectAlias: db-*",
		"  filePermission: 0400",
		"- {objectName: prod/db, objectType: secretsmanager, format: env, objectAlias: db.env}",
		"- {objectName: /prod/payments/*, objectType: ssmparameter, objectAlias: params/*, maxObjects: 50}",
		"- {objectName: /prod/**, objectType: ssmparameter, format: yaml, objectAlias: all.yaml}",
		"- objectName: prod/payments/*",
		"  objectType: secretsmanager",
		"  tags: {team: payments, tier: 1}",
		"- objectName: prod/keystore",
		"  objectType: secretsmanager",
		"  objectEncoding: base64",
		"  optional: true",
		"  region: eu-central-1",
		"- objectName: prod/api",
		"  objectType: secretsmanager",
		"  format: raw",
		"  jmesPath:",
		"  - {path: certs, format: files, objectAlias: tls-*, objectEncoding: hex, optional: TRUE}",
		"  - {path: other, format: files}",
	), nil)
	mode := c.Objects[0].Files[0].Mode
	if mode == nil || *mode != 0o400 {
		t.Errorf("mode %v, want 0400", mode)
	}
	want := []class.Object{
		{Name: "prod/db", Type: class.SecretsManager, Files: []class.FileSpec{{Path: "db-*", Pattern: true, Mode: mode, Format: document.Files}}},
		{Name: "prod/db", Type: class.SecretsManager, Files: []class.FileSpec{{Path: "db.env", Format: document.Env}}},
		{Name: "/prod/payments/*", Type: class.SSMParameter, Selection: &class.Selection{Prefix: "/prod/payments/", Max: 50}, Files: []class.FileSpec{{Path: "params_*", Pattern: true}}},
		{Name: "/prod/**", Type: class.SSMParameter, Selection: &class.Selection{Prefix: "/prod/", Recursive: true, Max: 100}, Files: []class.FileSpec{{Path: "all.yaml", Format: document.YAML}}},
		{
			Name: "prod/payments/*", Type: class.SecretsManager, Files: []class.FileSpec{{Path: "*", Pattern: true}},
			Selection: &class.Selection{Prefix: "prod/payments/", Tags: []class.Tag{{Key: "team", Value: "payments"}, {Key: "tier", Value: "1"}}, Max: 100},
		},
		{Name: "prod/keystore", Type: class.SecretsManager, Optional: true, Region: "eu-central-1", Files: []class.FileSpec{{Path: "prod_keystore", Encoding: document.Base64}}},
		{Name: "prod/api", Type: class.SecretsManager, Files: []class.FileSpec{
			{Path: "prod_api"},
			{Path: "tls-*", Pattern: true, Expression: "certs", Format: document.Files, Encoding: document.Hex, Optional: true},
			{Path: "*", Pattern: true, Expression: "other", Format: document.Files},
		}},
	}
	if diff := cmp.Diff(want, c.Objects, plain); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("warnings: %v", c.Warnings)
	}
	for i, combined := range []bool{false, false, false, true, false, false, false} {
		if got := c.Objects[i].Combined(); got != combined {
			t.Errorf("object %d: combined %v, want %v", i, got, combined)
		}
	}
	for i, whole := range []bool{false, false, false, false, false, false, true} {
		if got := c.Objects[i].Whole(); got != whole {
			t.Errorf("object %d: whole %v, want %v", i, got, whole)
		}
	}
	if got := c.RegionOf(c.Objects[5]) + " " + c.RegionOf(c.Objects[6]); got != "eu-central-1 "+region {
		t.Errorf("regions %s", got)
	}
}

// In the formats of before, a star in an alias is a part of the file's name.
func TestL2_StarsOfOlderClasses(t *testing.T) {
	wantFiles(t, parse(t, flow(db+`objectAlias: "a*b*", jmesPath: [{path: user, objectAlias: "*"}]`), nil), "a*b*", "* < user")
}

func TestL2_NamesOfFiles(t *testing.T) {
	for _, tt := range []struct{ alias, translation, key, want string }{
		{"", "", "user", "user"},
		{"db-*", "", "user", "db-user"},
		{"db/*.txt", "", "a/b", "db_a_b.txt"},
		{"db/*.txt", "False", "a/b", "db/a/b.txt"},
		{"*", "False", "/a", "a"},
		{"a/*", "*", "b/c", "a*b*c"},
		{"db-*", "", "*", "db-*"},
		{"", "", "", `key "" gives the file name "", which is empty: set objectAlias`},
		{"", "", "..", `key ".." gives the file name "..", which leaves the volume with ../`},
		{"", "", ".", `key "." gives the file name ".", which is the volume itself: set objectAlias`},
		{"x*", "", "a\x00", `key "a\x00" gives the file name "xa\x00", which contains a NUL byte`},
		{"a/*", "False", "../../b", `key "../../b" gives the file name "a/../../b", which leaves the volume with ../`},
		{"", "", strings.Repeat("k", 256), `key "` + strings.Repeat("k", 80) + `…" gives the file name "` + strings.Repeat("k", 120) + `…", which has an element longer than 255 bytes: set objectAlias`},
	} {
		c := parse(t, flow(db+fmt.Sprintf("format: files, objectAlias: %q", tt.alias)), params{"pathTranslation": tt.translation})
		got, err := c.Objects[0].Files[0].PathOf(tt.key)
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%q with %q and %q: %s, want %s", tt.alias, tt.translation, tt.key, got, tt.want)
		}
	}
}

func TestL2_NamesOfMembers(t *testing.T) {
	for _, tt := range []struct{ name, kind, member, want, path string }{
		{"/prod/*", "ssmparameter", "/prod/db", "db", "/prod"},
		{"/prod/**", "ssmparameter", "/prod/a/b", "a/b", "/prod"},
		{"/*", "ssmparameter", "/db", "db", "/"},
		{"prod/*", "secretsmanager", "prod/db/x", "db/x", "prod"},
		{"prod-*", "secretsmanager", "prod-db", "db", "prod-"},
	} {
		s := parse(t, flow("objectName: "+tt.name+", objectType: "+tt.kind), nil).Objects[0].Selection
		if got := s.NameOf(tt.member); got != tt.want {
			t.Errorf("%s: %s stands for %q, want %q", tt.name, tt.member, got, tt.want)
		}
		if got := s.Path(); got != tt.path {
			t.Errorf("%s: path %q, want %q", tt.name, got, tt.path)
		}
	}
}

// Each row is one entry with one fault.
func TestL10_Faults(t *testing.T) {
	const (
		secrets    = `objectName: "prod/*", objectType: secretsmanager, `
		parameters = `objectName: "/prod/*", objectType: ssmparameter, `
		notAPath   = "is not a path of parameters: write it as in /prod/payments/* for those right under it, or /prod/payments/** for all below it"
		notABegin  = "is not the beginning of secret names: write it as in prod/payments/*, with one * at the end"
		oneStar    = `needs exactly one *, which stands for the key, or for the rest of the selected name: write it as in "db-*"`
		inARN      = "is an ARN with a *, but objects are selected by name: write their names without the ARN, and region if they are in another one"
	)
	for _, tt := range []struct {
		fields string
		more   params
		want   string
	}{
		{db + "format: dotenv", nil, `objects[0].format: "dotenv" is not one of raw, files, env, properties, yaml, json (did you mean env?)`},
		{db + "format: Env", nil, `objects[0].format: "Env" is not one of raw, files, env, properties, yaml, json (did you mean env?)`},
		{db + "objectEncoding: base32", nil, `objects[0].objectEncoding: "base32" is not one of base64, hex (did you mean base64?)`},
		{db + "optional: yes", nil, `objects[0].optional: "yes" is neither true nor false`},
		{db + "region: Frankfurt", nil, `objects[0].region: "Frankfurt" is not the name of an AWS region, such as eu-west-1`},
		{db + "region: eu-west-1", params{"failoverRegion": "us-east-1"}, "objects[0].region: cannot be combined with failoverRegion, because all values of the volume then come from one region: remove one of the two, or use two volumes"},
		{`objectName: "arn:aws:secretsmanager:ap-south-1:123456789012:secret:a", region: eu-west-1`, nil, `objects[0].objectName: "arn:aws:secretsmanager:ap-south-1:123456789012:secret:a" is in region ap-south-1, but the object has region: eu-west-1`},
		{db + "format: files, objectAlias: db", nil, `objects[0].objectAlias: "db" ` + oneStar},
		{db + `format: files, objectAlias: "*-*"`, nil, `objects[0].objectAlias: "*-*" ` + oneStar},
		{db + `format: files, objectAlias: "../*"`, params{"pathTranslation": "False"}, `objects[0].objectAlias: gives file names such as "../*", which leaves the volume with ../`},
		{db + `format: files, objectAlias: "*/"`, params{"pathTranslation": "False"}, `objects[0].objectAlias: gives file names such as "*/", which is not a clean path: remove empty elements, . elements and a slash at the end`},
		{db + `format: env, objectAlias: "*.env"`, nil, `objects[0].objectAlias: "*.env" has a *, but format: env writes one file: remove it`},
		{db + "jmesPath: [{path: a, format: files, objectAlias: a}]", nil, `objects[0].jmesPath[0].objectAlias: "a" ` + oneStar},
		{db + "jmesPath: [{path: a, format: env}]", nil, "objects[0].jmesPath[0]: has no objectAlias: set it to the name of the file to write"},
		{db + "jmesPath: [{path: a, objectAlias: a, optional: maybe}]", nil, `objects[0].jmesPath[0].optional: "maybe" is neither true nor false`},
		{db + "objectEncoding: base64, jmesPath: [{path: a, objectAlias: a}]", nil, "objects[0].objectEncoding: cannot be combined with jmesPath, which selects from JSON and not from base64: set objectEncoding on the entries of jmesPath"},
		{db + "maxObjects: 5", nil, "objects[0].maxObjects: needs a selection: objectName has no *"},
		{db + "tags: {team: a}", nil, "objects[0].tags: needs a selection: objectName has no *"},
		{secrets + "maxObjects: 0", nil, `objects[0].maxObjects: "0" is not a number from 1 to 500`},
		{secrets + "maxObjects: 501", nil, `objects[0].maxObjects: "501" is not a number from 1 to 500`},
		{secrets + "maxObjects: 0x10", nil, `objects[0].maxObjects: "0x10" is not a number from 1 to 500`},
		{secrets + "objectVersion: 11111111-1111-1111-1111-111111111111", nil, "objects[0].objectVersion: cannot be combined with a selection, which has the current versions: remove it, or name each object"},
		{parameters + "objectVersionLabel: live", nil, "objects[0].objectVersionLabel: cannot be combined with a selection, which has the current versions: remove it, or name each object"},
		{secrets + "jmesPath: [{path: a, objectAlias: a}]", nil, "objects[0].jmesPath: cannot be combined with a selection: name each object"},
		{secrets + `objectAlias: "*", failoverObject: {objectName: b}`, params{"failoverRegion": "us-east-1"}, "objects[0].failoverObject: cannot be combined with a selection, which is the same in both regions: remove it, or name each object"},
		{secrets + "format: files", nil, "objects[0].format: files cannot be combined with a selection, which has a file for each object already: leave format out, or name each object"},
		{secrets + "format: env", nil, "objects[0]: needs an objectAlias: one with a * writes a document for each selected object, one without writes one document with all of them"},
		{secrets + "objectAlias: db", nil, `objects[0].objectAlias: "db" ` + oneStar},
		{secrets + `format: env, objectAlias: "**"`, nil, `objects[0].objectAlias: "**" ` + oneStar},
		{parameters + "tags: {team: a}", nil, "objects[0].tags: are for secrets: Parameter Store selects by path only"},
		{secrets + "tags: team", nil, "objects[0].tags: is a string, not a mapping from tag keys to values"},
		{secrets + "tags: {team: [a]}", nil, "objects[0].tags: has a tag that is not a key and a string: write it as in {team: payments}"},
		{secrets + "tags: {team: a, team: b}", nil, `objects[0].tags: has the tag "team" twice`},
		{secrets + `tags: {team: "!a"}`, nil, `objects[0].tags: has the tag "team", which cannot be selected: a key of 1 to 128 and a value of at most 256 letters, digits, spaces and :_@/+=.-`},
		{secrets + "tags: {a: 1, b: 1, c: 1, d: 1, e: 1}", nil, "objects[0].tags: has 5 tags; a selection takes at most 4"},
		{`objectName: "prod/*/db", objectType: secretsmanager`, nil, `objects[0].objectName: "prod/*/db" ` + notABegin},
		{`objectName: "*/db", objectType: secretsmanager`, nil, `objects[0].objectName: "*/db" ` + notABegin},
		{`objectName: "prod/**", objectType: secretsmanager`, nil, `objects[0].objectName: "prod/**" has ** at the end, which is for parameters: one * takes the whole rest of a secret's name`},
		{`objectName: "*", objectType: secretsmanager`, nil, `objects[0].objectName: "*" selects every secret of the account: write the beginning of the names before the *, or set tags`},
		{`objectName: "!a*", objectType: secretsmanager`, nil, `objects[0].objectName: "!a*" begins with !, which Secrets Manager takes for a negation: name each secret`},
		{`objectName: "prod/*", objectType: ssmparameter`, nil, `objects[0].objectName: "prod/*" ` + notAPath},
		{`objectName: "/prod/db*", objectType: ssmparameter`, nil, `objects[0].objectName: "/prod/db*" ` + notAPath},
		{`objectName: "/prod/*/db", objectType: ssmparameter`, nil, `objects[0].objectName: "/prod/*/db" ` + notAPath},
		{`objectName: "/prod/***", objectType: ssmparameter`, nil, `objects[0].objectName: "/prod/***" ` + notAPath},
		{`objectName: "/prod//*", objectType: ssmparameter`, nil, `objects[0].objectName: "/prod//*" ` + notAPath},
		{`objectName: "*", objectType: ssmparameter`, nil, `objects[0].objectName: "*" ` + notAPath},
		{`objectName: "arn:aws:secretsmanager:ap-south-1:123456789012:secret:prod/*"`, nil, `objects[0].objectName: "arn:aws:secretsmanager:ap-south-1:123456789012:secret:prod/*" ` + inARN},
	} {
		var got []string
		for _, f := range faults(t, flow(tt.fields), tt.more) {
			if f.Line != 1 || f.Column == 0 {
				t.Errorf("%s: at %d:%d, want a position in line 1", tt.fields, f.Line, f.Column)
			}
			got = append(got, f.Field+": "+f.Message)
		}
		if diff := cmp.Diff([]string{tt.want}, got); diff != "" {
			t.Errorf("%s: faults (-want +got):\n%s", tt.fields, diff)
		}
	}
}

func TestL10_AllAtOnce(t *testing.T) {
	got := faults(t, lines(
		"- objectName: prod/*",
		"  objectType: secretsmanager",
		"  objectVersion: 11111111-1111-1111-1111-111111111111",
		"  maxObjects: many",
		"- objectName: prod/db",
		"  objectType: secretsmanager",
		"  format: xml",
		"  tags: {team: a}",
		"  optional: 2",
	), nil)
	var where []string
	for _, f := range got {
		where = append(where, fmt.Sprintf("%s %d", f.Field, f.Line))
	}
	want := []string{"objects[0].objectVersion 3", "objects[0].maxObjects 4", "objects[1].tags 8", "objects[1].optional 9", "objects[1].format 7"}
	if diff := cmp.Diff(want, where); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

// utf-8 is a value of the Azure provider. It means no encoding, and such a class keeps its meaning.
func TestL4_UTF8IsNoEncoding(t *testing.T) {
	c := parse(t, flow(db+"objectEncoding: utf-8"), nil)
	want := []string{`objects[0].objectEncoding (line 1): "utf-8" is a value of the Azure provider and has no effect: remove it`}
	if diff := cmp.Diff(want, warnings(c)); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	if got := c.Objects[0].Files[0].Encoding; got != "" {
		t.Errorf("encoding %q, want none", got)
	}
}

// A name that AWS will refuse is a warning for a selection too.
func TestL2_OddNamesOfSelections(t *testing.T) {
	for fields, want := range map[string][]string{
		`objectName: "prod db*", objectType: secretsmanager`:                  {`objects[0].objectName (line 1): "prod db" is not a valid secret name: use at most 512 letters, digits and /_+=.@!-`},
		`objectName: "/prod db/*", objectType: ssmparameter`:                  {`objects[0].objectName (line 1): "/prod db" is not a valid parameter name: use letters, digits and _.-/`},
		`objectName: "/*", objectType: ssmparameter`:                          nil,
		`objectName: "*", objectType: secretsmanager, tags: {team: payments}`: nil,
	} {
		if diff := cmp.Diff(want, warnings(parse(t, flow(fields), nil))); diff != "" {
			t.Errorf("%s: warnings (-want +got):\n%s", fields, diff)
		}
	}
}

func TestL7_CollisionsOfPatterns(t *testing.T) {
	split := params{"pathTranslation": "False"}
	for name, tt := range map[string]struct {
		objects string
		more    params
		want    []string
	}{
		"one object, one pattern": {flow(db+"format: files") + flow(db+"format: files"), nil,
			[]string{`objects[1] (line 2): secret "prod/db" and objects[0] both write the files "*": give each its own objectAlias`}},
		"one selection twice": {flow(`objectName: "/a/*", objectType: ssmparameter`) + flow(`objectName: "/a/*", objectType: ssmparameter`), nil,
			[]string{`objects[1] (line 2): parameter "/a/*" and objects[0] both write the files "*": give each its own objectAlias`}},
		"a file where a pattern needs a directory": {flow(db+"objectAlias: db") + flow(db+"format: files, objectAlias: db/*"), split,
			[]string{`objects[1].objectAlias (line 2): the file "db/*" needs a directory where objects[0].objectAlias writes the file "db"`}},
		"one object, two patterns":      {flow(db+"format: files") + flow(db+"format: files, objectAlias: db-*"), nil, nil},
		"two versions, one pattern":     {flow(db+"format: files") + flow(db+"format: files, objectVersionLabel: AWSPREVIOUS"), nil, nil},
		"two regions, one pattern":      {flow(db+"format: files") + flow(db+"format: files, region: eu-west-1"), nil, nil},
		"two objects, one pattern":      {flow(db+"format: files") + flow("objectName: prod/api, objectType: secretsmanager, format: files"), nil, nil},
		"two results, one pattern":      {flow(db + "jmesPath: [{path: a, format: files}, {path: b, format: files}]"), nil, nil},
		"a name that the pattern makes": {flow(db+"objectAlias: db-user") + flow(db+"format: files, objectAlias: db-*"), nil, nil},
	} {
		var got []string
		for _, f := range faults(t, tt.objects, tt.more) {
			got = append(got, f.String())
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: faults (-want +got):\n%s", name, diff)
		}
	}
}
