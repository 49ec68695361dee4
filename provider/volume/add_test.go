package volume

import (
	"testing"

	"secrets-provider-aws/provider/class"
)

func TestL7_CollisionsOfFiles(t *testing.T) {
	for name, tt := range map[string]struct {
		files [][2]string
		want  string
	}{
		"two files":                 {[][2]string{{"a", "A"}, {"a", "B"}}, `secret "A" and secret "B" both write the file "a"`},
		"a file in a file":          {[][2]string{{"a", "A"}, {"a/b", "B"}}, `the file "a/b" of secret "B" needs a directory where secret "A" writes a file`},
		"a file deep in a file":     {[][2]string{{"a", "A"}, {"a/b/c", "B"}}, `the file "a/b/c" of secret "B" needs a directory where secret "A" writes a file`},
		"a file for a directory":    {[][2]string{{"a/b/c", "A"}, {"a/b", "B"}}, `secret "B" writes the file "a/b" where a file of secret "A" needs a directory`},
		"files that only look so":   {[][2]string{{"a", "A"}, {"a-b", "B"}, {"b/a", "C"}, {"b/c", "D"}, {"a.b/c", "E"}}, ""},
		"the first of many is told": {[][2]string{{"a/b", "A"}, {"a/c", "B"}, {"a", "C"}}, `secret "C" writes the file "a" where a file of secret "B" needs a directory`},
	} {
		var all paths
		got := ""
		for _, f := range tt.files {
			if err := all.add(f[0], origin{class.SecretsManager, f[1]}); err != nil {
				got += err.Error()
			}
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}
