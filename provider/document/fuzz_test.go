package document_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/provider/document"
)

// FuzzDocument checks that every value is either refused or written by each format so that its reader gets the values
// back, in the number of bytes that Size gave.
func FuzzDocument(f *testing.F) {
	for _, seed := range []string{
		db, `{}`, `{"A":"it's \"$HOME\" \\ ` + "`id`" + `\n","B":"","_c1":"a b"}`, `{"a":null,"b":[],"c":{"d":{}}}`, `{"yes":"no","~":"1e3","":"\u0000"}`,
		`{"a":"\ud83d\ude00\u2028\u007f\u0085"}`, `{"a":1,"a":2}`, `null`, `[1]`, `"x"`, ``, `{"a":"\ud800"}`, `{"#! :=":"  # ! : = \\\t\f"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		p, err := document.Parse(value, keys)
		if err != nil {
			if p != nil || err.Error() == "" {
				t.Fatalf("%d pairs beside the error %v", len(p), err)
			}
			return
		}
		want := texts(p)
		if diff := cmp.Diff(want, java(t, write(t, p, document.Properties))); diff != "" {
			t.Errorf("properties (-want +got):\n%s", diff)
		}
		if content, err := p.Document(document.Env); err == nil {
			if diff := cmp.Diff(want, systemd(string(content))); diff != "" {
				t.Errorf("env (-want +got):\n%s", diff)
			}
		}
		content := write(t, p, document.JSON)
		if diff := cmp.Diff(decoded(t, string(value)), decoded(t, content)); diff != "" {
			t.Errorf("JSON (-want +got):\n%s", diff)
		}
		again, err := document.Parse([]byte(content), keys)
		if err != nil || write(t, again, document.JSON) != content {
			t.Errorf("the document of a document differs: %v", err)
		}
		checkYAML(t, write(t, p, document.YAML), want)
	})
}

// FuzzEncoding checks that a text is refused or decoded to bytes that encode to a text with the same bytes.
func FuzzEncoding(f *testing.F) {
	for _, seed := range []string{"aGVsbG8=", "aGVsbG8", "--__", "++//", " 68 65\n", "6", "=", "a=b=", "\x00", "é"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		before := bytes.Clone(text)
		for _, e := range document.Encodings() {
			content, err := e.Decode(text)
			if err != nil && len(content) > 0 || len(content) > len(text) {
				t.Errorf("%s: %d bytes of %d, %v", e, len(content), len(text), err)
			}
			quoted, err := json.Marshal(string(text))
			if err != nil {
				t.Fatal(err)
			}
			if p, err := document.Parse([]byte(`{"k":`+string(quoted)+`}`), 1); err == nil {
				_, _ = p.Decode(e)
			}
		}
		if !bytes.Equal(before, text) {
			t.Error("Decode changed the text")
		}
	})
}
