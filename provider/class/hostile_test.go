package class_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"secrets-provider-aws/provider/class"
)

// With aliases a short text stands for much. What Parse allocates tells what it has done of it:
// these took up to a minute and gigabytes.
func TestT31_AliasesBuyNothing(t *testing.T) {
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
			"more entries than an object takes",
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
	} {
		t.Run(tt.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := class.Parse(params{"objects": tt.text, "pathTranslation": "False"}, region)
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %.300v, want %q in it", err, tt.want)
			}
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 64<<20 {
				t.Errorf("took %d MiB of memory", allocated>>20)
			}
		})
	}
}

// A path that is refused takes no part in the search for collisions, which looks at each directory of it.
func TestT31_EndlessPath(t *testing.T) {
	deep := strings.Repeat("a/", 100_000) + "a"
	wantFaults(t, faults(t, aliased(deep), params{"pathTranslation": "False"}), class.Fault{
		Field: "objects[0].objectAlias", Line: 3, Column: 16,
		Message: "gives the file name " + quote(deep) + ", which is longer than 4096 bytes: set objectAlias",
	})
}

// each formats the numbers from … to-1.
func each(from, to int, format string) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}
