package class_test

import (
	"fmt"
	"testing"

	"secrets-provider-aws/provider/class"
)

func TestI8_ScalarsAreReadAsWritten(t *testing.T) {
	for _, text := range []string{
		"y", "n", "yes", "No", "on", "off", "true", "False", "1", "007", "0o17", "0x1F", "1_000", "1e3", "1.50", ".5", "+1",
		".inf", ".NaN", "2024-01-01", "2024-01-01T00:00:00Z", "12:30:45", "null-ish", "NULLS", "=",
	} {
		t.Run(text, func(t *testing.T) {
			c := parse(t, lines("- objectName: "+text, "  objectType: secretsmanager", "  objectVersion: "+text, "  objectVersionLabel: "+text), nil)
			o := c.Objects[0]
			if o.Name != text || o.Version != text || o.Label != text {
				t.Errorf("name %q, version %q, label %q, want %q each", o.Name, o.Version, o.Label, text)
			}
			wantFiles(t, c, text)
			wantFiles(t, parse(t, lines("- objectName: s", "  objectType: secretsmanager", "  objectAlias: "+text), nil), text)
		})
	}
}

func TestI8_QuotedScalars(t *testing.T) {
	for written, want := range map[string]string{
		`'y'`:              "y",
		`"null"`:           "null",
		`'~'`:              "~",
		`"a\tb"`:           "a\tb",
		`"\u00fc"`:         "ü",
		`'it''s'`:          "it's",
		"!!str 007":        "007",
		"!!int 7":          "7",
		"!!binary aGk=":    "aGk=",
		"!mine x":          "x",
		"|-\n    folded":   "folded",
		">-\n    a\n    b": "a b",
		"a # comment":      "a",
		"a#b":              "a#b",
	} {
		t.Run(written, func(t *testing.T) {
			wantFiles(t, parse(t, lines("- objectName: s", "  objectType: secretsmanager", "  objectAlias: "+written), nil), want)
		})
	}
}

func TestK25_UnquotedObjectVersion(t *testing.T) {
	for _, text := range []string{"3", "'3'", `"3"`} {
		c := parse(t, object("/prod/level", "ssmparameter")+"  objectVersion: "+text+"\n", nil)
		if got := c.Objects[0].Version; got != "3" {
			t.Errorf("objectVersion: %s is version %q, want 3", text, got)
		}
	}
	c := parse(t, `[{"objectName":"/prod/level","objectType":"ssmparameter","objectVersion":3}]`, nil)
	if got := c.Objects[0].Version; got != "3" {
		t.Errorf("version %q in JSON, want 3", got)
	}
}

func TestK26_FourOctalDigits(t *testing.T) {
	for written, want := range map[string]string{
		"'0600'": "s 0600",
		`"0644"`: "s 0644",
		"0600":   "s 0600", // in YAML 1.1 this is the number 384
		"0000":   "s 0000",
		"0777":   "s 0777",
		"0004":   "s 0004",
		"''":     "s",
		"null":   "s",
	} {
		wantFiles(t, parse(t, secret("s")+"  filePermission: "+written+"\n", nil), want)
	}
}

func TestK26_AnyOtherPermissionIsRefused(t *testing.T) {
	for _, written := range []string{
		"600", "0o600", "00600", "384", "4755", "1777", "1000", "7777", "99999", "-1", "-0600", "+600", "0x180", "0888", "rw-r--r--", "u=rw", "06OO",
		"' 0600'", "0600.0", "6e2", "0_600", "٠٦٠٠",
	} {
		value := written
		if value[0] == '\'' {
			value = value[1 : len(value)-1]
		}
		message := fmt.Sprintf("%q is not a permission of four octal digits from 0000 to 0777", value)
		if value == "600" {
			message += ": write 0600"
		}
		wantFaults(t, faults(t, secret("s")+"  filePermission: "+written+"\n", nil), class.Fault{
			Field: "objects[0].filePermission", Line: 3, Column: 19, Message: message,
		})
		wantFaults(t, faults(t, secret("s")+"  jmesPath: [{path: x, objectAlias: y, filePermission: "+written+"}]\n", nil), class.Fault{
			Field: "objects[0].jmesPath[0].filePermission", Line: 3, Column: 56, Message: message,
		})
	}
}
