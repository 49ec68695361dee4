package check_test

import (
	"fmt"
	"strings"
	"testing"

	"secrets-provider-aws/cmd/secrets-provider-aws/check"
)

// The position of a fault is the position of the wrong word, OOPS, in every style of YAML scalar.
func TestPlaceOfFaults(t *testing.T) {
	for name, parameters := range map[string]string{
		"literal":                  "    objects: |\n      - objectName: a\n        objectType: OOPS\n",
		"literal, stripped":        "    objects: |-\n      - objectName: a\n        objectType: OOPS\n",
		"literal, kept":            "    objects: |+\n      - objectName: a\n        objectType: OOPS\n\n\n",
		"literal with a comment":   "    objects: | # the objects\n      - objectName: a\n        objectType: OOPS\n",
		"indentation indicator":    "    objects: |2\n        - objectName: a\n          objectType: OOPS\n",
		"both indicators":          "    objects: |1-\n       - objectName: a\n         objectType: OOPS\n",
		"blank lines and comments": "    objects: |\n\n      # one\n\n      - objectName: a\n\n        # two\n        objectType: OOPS\n",
		"blank line with spaces":   "    objects: |\n      - objectName: a\n              \n        objectType: OOPS\n",
		"an anchor and a tag":      "    objects: &o !!str |\n      - objectName: a\n        objectType: OOPS\n",
		"JSON in a literal":        "    objects: |\n      [\n        {\"objectName\": \"a\",\n         \"objectType\": \"OOPS\"}\n      ]\n",
		"behind other characters":  "    objects: |\n      - objectName: \"äöü 😀\" \n        objectType: OOPS\n      # ä\n",
		"carriage returns":         "    objects: |\r\n      - objectName: a\r\n        objectType: OOPS\r\n",
		"folded":                   "    objects: >\n      [{objectName: a,\n      objectType:\n      OOPS}]\n",
		"folded, stripped":         "    objects: >-\n      [{objectName: a,\n\n\n      objectType: OOPS}]\n",
		"folded, more indented":    "    objects: >\n      - objectName: a\n\n        objectType: OOPS\n",
		"folded, indented first":   "    objects: >2\n        - objectName: a\n          objectType: OOPS\n",
		"single-quoted":            "    objects: '[{objectName: ''a'', objectType: OOPS}]'\n",
		"single-quoted, in lines":  "    objects: '[{objectName: a,   \n\n      objectType: OOPS}]'\n",
		"double-quoted":            `    objects: "[{objectName: \"a\\n\", objectType: OOPS}]"` + "\n",
		"double-quoted, escapes":   `    objects: "[{\x6fbject\u004eame: \"\U0001F600\t\", objectType: OOPS}]"` + "\n",
		"double-quoted, newlines":  `    objects: "- objectName: a\n  objectType: OOPS\n"` + "\n",
		"double-quoted, in lines":  "    objects: \"[{objectName: a,\n      objectType: \\\n      OOPS}]\"\n",
		"double-quoted, blanks":    "    objects: \"[{objectName: a,\n\n\n      \\  objectType: OOPS}]\"\n",
		"quoted on the next line":  "    objects:\n      '[{objectName: a, objectType: OOPS}]'\n",
		"in a flow mapping":        "    {region: eu-west-1, objects: '[{objectName: a, objectType: OOPS}]'}\n",
	} {
		t.Run(name, func(t *testing.T) {
			for _, before := range []string{"", "# a comment\n---\nkind: ConfigMap\ndata: {x\n---\n", "---\n# Source: chart/x.yaml\n", "\ufeff", "%YAML 1.1\n---\n"} {
				manifest := before + classHead + "  parameters:\n" + parameters + "---\nkind: Other\n"
				report := reportOn(t, check.Options{}, manifest)
				visible := strings.TrimPrefix(manifest, "\ufeff")
				line, column := lineOf(t, visible, "OOPS")
				if strings.Contains(visible, `"OOPS`) { // the position is that of the quote
					column--
				}
				want := fmt.Sprintf(`%d:%d: error: db: objects[0].objectType: "OOPS" is not one of secretsmanager, ssmparameter`, line, column)
				got := printed(report)
				if strings.Contains(before, "data:") { // the broken document gives its own finding
					got = got[1:]
				}
				if len(got) != 1 || got[0] != want {
					t.Errorf("behind %q: got %q, want %q in\n%s", before, got, want, manifest)
				}
			}
		})
	}
}
