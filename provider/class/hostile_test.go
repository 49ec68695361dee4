package class_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"secrets-provider-aws/provider/class"
)

// A short text with YAML aliases can expand to gigabytes and a minute of work. The memory that Parse allocates
// shows how much of that it did.
func TestT31_AliasesAreBounded(t *testing.T) {
	costly := "[" + strings.Repeat("a,", 2000) + "a]"
	tooMuch := " exceeds one volume, which takes at most 1000 files and 256 KiB of jmesPath expressions"
	for _, tt := range []struct{ name, text, want string }{
		{
			"a costly expression in every entry of every object",
			secret("s0") + "  jmesPath: &all\n  - &one {path: '" + costly + "', objectAlias: a}\n" + strings.Repeat("  - *one\n", 499) +
				each(1, 500, "- {objectName: s%d, objectType: secretsmanager, jmesPath: *all}\n"),
			"objects[0] (line 1):" + tooMuch,
		},
		{
			"a short expression in every entry of every object",
			secret("s0") + "  jmesPath: &all\n  - &one {path: a, objectAlias: a}\n" + strings.Repeat("  - *one\n", 499) +
				each(1, 500, "- {objectName: s%d, objectType: secretsmanager, jmesPath: *all}\n"),
			"objects[1] (line 504):" + tooMuch,
		},
		{
			"more entries than an object can have",
			secret("s0") + "  jmesPath:\n  - &one {path: a, objectAlias: a}\n" + strings.Repeat("  - *one\n", 500),
			"objects[0].jmesPath (line 4): lists 501 entries; one object takes at most 500",
		},
		{
			"unknown fields in every object",
			"- &all\n  objectName: s\n" + each(0, 1000, "  k%d: v\n") + strings.Repeat("- *all\n", 499),
			"objects[0] (line 1): has 1001 fields; at most 50 are read",
		},
		{
			"one object 500 times",
			"- &all {objectName: " + strings.Repeat("a/", 2000) + "a, objectType: secretsmanager}\n" + strings.Repeat("- *all\n", 499),
			"499 faults",
		},
		{
			"a long name in every object",
			"- {objectName: &n " + strings.Repeat("a/", 100_000) + "a, objectType: secretsmanager}\n" + strings.Repeat("- {objectName: *n, objectType: secretsmanager}\n", 499),
			"500 faults: (1) objects[0].objectName (line 1): is 200001 bytes long; one name or value takes at most 8192",
		},
		{
			"a long field in every object",
			"- {objectName: a, ? &n " + strings.Repeat("a", 100_000) + " : x}\n" + strings.Repeat("- {objectName: b, ? *n : x}\n", 499),
			"500 faults: (1) objects[0] (line 1): is 100000 bytes long; one name or value takes at most 8192",
		},
		{
			"entries that are no mappings in every object",
			"- {objectName: a, objectType: secretsmanager, jmesPath: &j [" + strings.Repeat("x,", 500) + "]}\n" +
				strings.Repeat("- {objectName: b, objectType: secretsmanager, jmesPath: *j}\n", 499),
			"1000 faults: (1) objects[0].jmesPath[0] (line 1): is a string, not a mapping of fields",
		},
		{
			"a list of a million entries",
			"[" + strings.Repeat("a,", 1_000_000) + "]",
			"objects: is 2000002 bytes long; one volume takes at most 256 KiB: mount fewer objects in one volume",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := class.Parse(params{"objects": tt.text, "pathTranslation": "False"}, region)
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %.300v, want %q in it", err, tt.want)
			}
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 24<<20 {
				t.Errorf("allocated %d MiB", allocated>>20)
			}
		})
	}
}

// Parse does not search for collisions of a path that it refuses: that search looks at each directory of the path.
func TestT31_VeryDeepPath(t *testing.T) {
	deep := strings.Repeat("a/", 4000) + "a"
	wantFaults(t, faults(t, aliased(deep), params{"pathTranslation": "False"}), class.Fault{
		Field: "objects[0].objectAlias", Line: 3, Column: 16,
		Message: "gives the file name " + quote(deep) + ", which is longer than 4096 bytes: set objectAlias",
	})
}

// each formats the numbers from … to-1 and joins them.
func each(from, to int, format string) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}
