package class_test

import (
	"fmt"
	"testing"

	"secrets-provider-aws/provider/class"
)

// entryOf is an entry with whichever of alias and label is not empty.
func entryOf(name, alias, label string) string {
	text := secret(name)
	if alias != "" {
		text += "  objectAlias: " + alias + "\n"
	}
	if label != "" {
		text += "  objectVersionLabel: " + label + "\n"
	}
	return text
}

func TestK35_DuplicatesAllowed(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"one name with different aliases", entryOf("a", "x", "") + entryOf("a", "y", ""), []string{"x", "y"}},
		{"one name with and without an alias", entryOf("a", "", "") + entryOf("a", "y", ""), []string{"a", "y"}},
		{"one name under different labels with different aliases", entryOf("a", "x", "AWSCURRENT") + entryOf("a", "y", "AWSPREVIOUS"), []string{"x", "y"}},
		{"one name with a label and an alias, and without", entryOf("a", "x", "AWSPREVIOUS") + entryOf("a", "", ""), []string{"x", "a"}},
		{"a secret and a parameter of one name", entryOf("a", "x", "") + object("a", "ssmparameter"), []string{"x", "a"}},
		{"names that differ in case", entryOf("a", "", "") + entryOf("A", "", ""), []string{"a", "A"}},
	} {
		t.Run(tt.name, func(t *testing.T) { wantFiles(t, parse(t, tt.text, nil), tt.want...) })
	}
}

func TestK34_DuplicatesRefused(t *testing.T) {
	both := func(second, first, file string) string {
		return fmt.Sprintf("%s and %s both write the file %q: give each its own objectAlias", second, first, file)
	}
	jmes := func(name, alias string) string {
		return secret(name) + "  jmesPath: [{path: x, objectAlias: " + alias + "}]\n"
	}
	for _, tt := range []struct {
		name, text, translation string
		want                    class.Fault
	}{
		{"one name with neither alias nor label", entryOf("a", "", "") + entryOf("a", "", ""), "",
			class.Fault{Field: "objects[1]", Line: 3, Column: 3, Message: both(`secret "a"`, `objects[0] (secret "a")`, "a")}},
		{"one name and label without alias", entryOf("a", "", "l") + entryOf("a", "", "l"), "",
			class.Fault{Field: "objects[1]", Line: 4, Column: 3, Message: both(`secret "a"`, `objects[0] (secret "a")`, "a")}},
		{"one name under different labels without alias", entryOf("a", "", "l") + entryOf("a", "", "m"), "",
			class.Fault{Field: "objects[1]", Line: 4, Column: 3, Message: both(`secret "a"`, `objects[0] (secret "a")`, "a")}},
		{"a repeated alias", entryOf("a", "x", "") + entryOf("b", "x", ""), "",
			class.Fault{Field: "objects[1].objectAlias", Line: 6, Column: 16, Message: both(`secret "b"`, `objects[0].objectAlias (secret "a")`, "x")}},
		{"an alias that is another's name", entryOf("a", "", "") + entryOf("b", "a", ""), "",
			class.Fault{Field: "objects[1].objectAlias", Line: 5, Column: 16, Message: both(`secret "b"`, `objects[0] (secret "a")`, "a")}},
		{"a jmesPath alias that is another's name", entryOf("a", "", "") + jmes("b", "a"), "",
			class.Fault{Field: "objects[1].jmesPath[0].objectAlias", Line: 5, Column: 37, Message: both(`secret "b"`, `objects[0] (secret "a")`, "a")}},
		{"jmesPath aliases of two objects", jmes("a", "x") + jmes("b", "x"), "",
			class.Fault{Field: "objects[1].jmesPath[0].objectAlias", Line: 6, Column: 37, Message: both(`secret "b"`, `objects[0].jmesPath[0].objectAlias (secret "a")`, "x")}},
		{"jmesPath alias and the file of its own object", jmes("a", "a"), "",
			class.Fault{Field: "objects[0].jmesPath[0].objectAlias", Line: 3, Column: 37, Message: both(`secret "a"`, `objects[0] (secret "a")`, "a")}},
		{"a secret and a parameter", entryOf("a", "", "") + object("a", "ssmparameter"), "",
			class.Fault{Field: "objects[1]", Line: 3, Column: 3, Message: both(`parameter "a"`, `objects[0] (secret "a")`, "a")}},
		{"names that become one by translation", entryOf("app/db", "", "") + entryOf("app_db", "", ""), "",
			class.Fault{Field: "objects[1]", Line: 3, Column: 3, Message: both(`secret "app_db"`, `objects[0] (secret "app/db")`, "app_db")}},
		{"names that differ in their leading slash", entryOf("/app/db", "", "") + entryOf("app/db", "", ""), "False",
			class.Fault{Field: "objects[1]", Line: 3, Column: 3, Message: both(`secret "app/db"`, `objects[0] (secret "/app/db")`, "app/db")}},
		{"an ARN as alias of itself", entryOf("b", secretARN, "") + entryOf(secretARN, "", ""), "False",
			class.Fault{Field: "objects[1]", Line: 4, Column: 3, Message: both(`secret "`+secretARN+`"`, `objects[0].objectAlias (secret "b")`, secretARN)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantFaults(t, faults(t, tt.text, params{"pathTranslation": tt.translation}), tt.want)
		})
	}
}

// Three of a kind: each later one is a fault, against the first.
func TestK34_EachDuplicateIsReported(t *testing.T) {
	const message = `secret "a" and objects[0] (secret "a") both write the file "a": give each its own objectAlias`
	wantFaults(t, faults(t, secret("a")+secret("a")+secret("a"), nil),
		class.Fault{Field: "objects[1]", Line: 3, Column: 3, Message: message},
		class.Fault{Field: "objects[2]", Line: 5, Column: 3, Message: message},
	)
}

// The driver fails on these and leaks a directory each time.
func TestI6_FileWhereADirectoryIsNeeded(t *testing.T) {
	keep := params{"pathTranslation": "False"}
	const at0 = `the file "a/b" needs a directory where objects[0] writes the file "a"`
	wantFaults(t, faults(t, secret("a")+secret("a/b"), keep), class.Fault{Field: "objects[1]", Line: 3, Column: 3, Message: at0})
	wantFaults(t, faults(t, secret("a/b")+secret("a"), keep), class.Fault{
		Field: "objects[0]", Line: 1, Column: 3, Message: `the file "a/b" needs a directory where objects[1] writes the file "a"`,
	})
	wantFaults(t, faults(t, secret("/a")+secret("a/b/c/d"), keep), class.Fault{
		Field: "objects[1]", Line: 3, Column: 3, Message: `the file "a/b/c/d" needs a directory where objects[0] writes the file "a"`,
	})
	// Of several the nearest is named.
	wantFaults(t, faults(t, secret("a")+secret("a/b")+secret("a/b/c"), keep),
		class.Fault{Field: "objects[1]", Line: 3, Column: 3, Message: at0},
		class.Fault{Field: "objects[2]", Line: 5, Column: 3, Message: `the file "a/b/c" needs a directory where objects[1] writes the file "a/b"`},
	)
	wantFaults(t, faults(t, secret("a")+"  jmesPath: [{path: x, objectAlias: a/x}]\n", keep), class.Fault{
		Field: "objects[0].jmesPath[0].objectAlias", Line: 3, Column: 37, Message: `the file "a/x" needs a directory where objects[0] writes the file "a"`,
	})

	wantFiles(t, parse(t, secret("a")+secret("a/b"), nil), "a", "a_b")
	wantFiles(t, parse(t, secret("a/b")+secret("a/c")+secret("ab")+secret("a.b"), keep), "a/b", "a/c", "ab", "a.b")
}
