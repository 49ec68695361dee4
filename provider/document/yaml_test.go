package document_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
	"pgregory.net/rapid"
	sigsyaml "sigs.k8s.io/yaml"

	"secrets-provider-aws/provider/document"
)

// Strings stay strings for a reader of YAML 1.2, and for sigs.k8s.io/yaml, which has the booleans of YAML 1.1.
func TestL3_YAMLRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p, want := object(rt, awkward(), awkward())
		content := write(t, p, document.YAML)
		for name, read := range map[string]func([]byte, any) error{
			"yaml.v3":          yaml.Unmarshal,
			"sigs.k8s.io/yaml": func(b []byte, v any) error { return sigsyaml.Unmarshal(b, v) },
		} {
			var got map[string]any
			if err := read([]byte(content), &got); err != nil {
				rt.Fatalf("%s: %v of\n%s", name, err, content)
			}
			if len(got) != len(want) {
				rt.Fatalf("%s: %d keys, want %d, of\n%s", name, len(got), len(want), content)
			}
			for key, value := range want {
				if got[key] != value {
					rt.Fatalf("%s: key %q has the value %#v, want the string %q, of\n%s", name, key, got[key], value, content)
				}
			}
		}
	})
}

// Words of YAML 1.1 need quotes as keys too.
func TestL3_YAMLKeys(t *testing.T) {
	words := []string{"y", "N", "yes", "No", "ON", "off", "True", "FALSE", "null", "Null", "~", "1", "1e3", "0x1f", ".inf", "2001-01-01", "", "a b", "a:", "-", "<<", "é"}
	for _, word := range words {
		if got := write(t, document.Of(map[string][]byte{word: nil}), document.YAML); !strings.HasPrefix(got, `"`) {
			t.Errorf("the key %q is written without quotes: %s", word, got)
		}
	}
	for _, name := range []string{"username", "spring.datasource.url", "tls-key", "DB_URL", "_x"} {
		if got := write(t, document.Of(map[string][]byte{name: nil}), document.YAML); got != name+`: ""`+"\n" {
			t.Errorf("the key %q is written as %s", name, got)
		}
	}
}

// Characters that YAML does not take as they are stand as escapes, also deep in a value.
func TestL3_YAMLEscapes(t *testing.T) {
	const awkward = `\u007f\u0085\ufeff\uffff`
	got := write(t, pairs(t, `{"k":"`+awkward+`é😀","l":["`+awkward+`"],"`+awkward+`":1}`), document.YAML)
	if want := `k: "` + awkward + "é😀\"\nl: [\"" + awkward + "\"]\n\"" + awkward + "\": 1\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A key may be longer than 1024 characters, which is the limit of a simple key of YAML.
func TestL3_YAMLLongKeys(t *testing.T) {
	for _, n := range []int{99, 100, 990, 1000, 1023, 1030, 5000} {
		for _, c := range []string{"k", "é", "\u0085"} {
			key := strings.Repeat(c, n)
			text, err := json.Marshal(map[string]any{key: "v", "o": map[string]any{key: "w"}})
			if err != nil {
				t.Fatal(err)
			}
			content := write(t, pairs(t, string(text)), document.YAML)
			for _, read := range []func([]byte, any) error{yaml.Unmarshal, func(b []byte, v any) error { return sigsyaml.Unmarshal(b, v) }} {
				var got map[string]any
				if err := read([]byte(content), &got); err != nil {
					t.Fatalf("%d × %q: %v", n, c, err)
				}
				if diff := cmp.Diff(map[string]any{key: "v", "o": map[string]any{key: "w"}}, got); diff != "" {
					t.Errorf("%d × %q: %s", n, c, diff[:min(len(diff), 300)])
				}
			}
		}
	}
}

// Every JSON object keeps its values and their types, numbers as they are written.
func TestL3_JSONAndYAMLKeepTypes(t *testing.T) {
	scalar := rapid.OneOf(
		rapid.Just[any](nil), rapid.Just[any](true), rapid.Custom(func(t *rapid.T) any { return awkward().Draw(t, "text") }),
		rapid.Custom(func(t *rapid.T) any { return json.Number(numbers.Draw(t, "number")) }),
	)
	value := rapid.Deferred(func() *rapid.Generator[any] {
		return rapid.OneOf(scalar, scalar,
			rapid.Custom(func(t *rapid.T) any { return rapid.SliceOfN(scalar, 0, 3).Draw(t, "list") }),
			rapid.Custom(func(t *rapid.T) any { return rapid.MapOfN(awkward(), scalar, 0, 3).Draw(t, "object") }))
	})
	rapid.Check(t, func(rt *rapid.T) {
		want := rapid.MapOfN(awkward(), value, 0, 5).Draw(rt, "value")
		text, err := json.Marshal(want)
		if err != nil {
			rt.Fatal(err)
		}
		p := pairs(t, string(text))
		if diff := cmp.Diff(decoded(rt, string(text)), decoded(rt, write(t, p, document.JSON))); diff != "" {
			rt.Fatalf("JSON (-want +got):\n%s", diff)
		}
		var node yaml.Node
		content := write(t, p, document.YAML)
		if err := yaml.Unmarshal([]byte(content), &node); err != nil {
			rt.Fatalf("YAML: %v of\n%s", err, content)
		}
		if diff := cmp.Diff(decoded(rt, string(text)), ofNode(rt, node.Content[0])); diff != "" {
			rt.Fatalf("YAML (-want +got):\n%s\nof\n%s", diff, content)
		}
	})
}

// numbers are JSON numbers with a plain form in YAML.
var numbers = rapid.SampledFrom([]string{"0", "-1", "5432", "12345678901234567890", "1.50", "1e3", "-2.5E-7", "0.1"})

// checkYAML reads a document and compares the texts of its strings and numbers.
func checkYAML(t *testing.T, content string, want map[string]string) {
	t.Helper()
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(content), &node); err != nil {
		t.Fatalf("YAML: %v of\n%s", err, content)
	}
	got := node.Content[0].Content
	if len(got) != 2*len(want) {
		t.Fatalf("YAML has %d keys, want %d", len(got)/2, len(want))
	}
	for i := 0; i < len(got); i += 2 {
		text, known := want[got[i].Value]
		if value := got[i+1]; !known || value.Kind == yaml.ScalarNode && value.Tag != "!!null" && value.Value != text {
			t.Errorf("YAML has the key %q with %q, want %q", got[i].Value, value.Value, text)
		}
	}
}

func decoded(t fataler, text string) any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

// ofNode is a value of YAML in the form of decoded, with numbers as they are written.
func ofNode(t fataler, node *yaml.Node) any {
	t.Helper()
	switch node.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return node.Value == "true"
	case "!!int", "!!float":
		return json.Number(node.Value)
	case "!!str":
		return node.Value
	case "!!seq":
		list := []any{}
		for _, element := range node.Content {
			list = append(list, ofNode(t, element))
		}
		return list
	case "!!map":
		mapping := map[string]any{}
		for i := 0; i < len(node.Content); i += 2 {
			mapping[node.Content[i].Value] = ofNode(t, node.Content[i+1])
		}
		return mapping
	}
	t.Fatalf("a node with the tag %s", node.Tag)
	return nil
}
