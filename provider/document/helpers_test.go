package document_test

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"secrets-provider-aws/provider/document"
)

// keys is more than any test has.
const keys = 10_000

// pairs parses a JSON object.
func pairs(t testing.TB, object string) document.Pairs {
	t.Helper()
	p, err := document.Parse([]byte(object), keys)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return p
}

// texts is the map from keys to values, with null as an empty text.
func texts(p document.Pairs) map[string]string {
	m := map[string]string{}
	for _, pair := range p {
		m[pair.Key] = string(pair.Value)
	}
	return m
}

// write makes a document, whose length must be the one that Size gave.
func write(t testing.TB, p document.Pairs, f document.Format) string {
	t.Helper()
	size, err := p.Size(f)
	if err != nil {
		t.Fatalf("Size: %v", err)
	}
	content, err := p.Document(f)
	if err != nil {
		t.Fatalf("Document: %v", err)
	}
	if size != len(content) {
		t.Fatalf("%s: Size gave %d, the document has %d bytes", f, size, len(content))
	}
	return string(content)
}

// awkward draws texts with many characters that some format gives a meaning.
func awkward() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.String(),
		rapid.StringOfN(rapid.RuneFrom([]rune("ab1 '\"\\$`\n\r\t#=:!;~-{}[],&*?|>%@\x00\x01\x1b\x7f\u0085\u2028\ufeffé鍵😀")), 0, 20, -1),
		rapid.SampledFrom([]string{"yes", "No", "on", "null", "~", "1e3", "0x1F", "010", "1:30", "2001-01-01", "2001-12-14t21:59:43.10-05:00", "=", "<<", ".inf", "", " ", "'", "# a", "- a", "a: b", "%h", "$(id)", "\\"}),
	)
}

// object draws a flat JSON object and gives it as JSON and as the texts that its keys have.
func object(t *rapid.T, key *rapid.Generator[string], value *rapid.Generator[string]) (document.Pairs, map[string]string) {
	want := rapid.MapOfN(key, value, 0, 8).Draw(t, "object")
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	p, err := document.Parse(text, keys)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return p, want
}
