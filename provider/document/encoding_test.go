package document_test

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"secrets-provider-aws/provider/document"
)

func TestL4_Decode(t *testing.T) {
	for _, tt := range []struct {
		encoding document.Encoding
		text     string
		want     string // empty with fails
		fails    bool
	}{
		{document.Base64, "aGVsbG8=", "hello", false},
		{document.Base64, "aGVsbG8", "hello", false},
		{document.Base64, "  aGVs\r\n\tbG8=\n", "hello", false},
		{document.Base64, "++//", "\xfb\xef\xff", false},
		{document.Base64, "--__", "\xfb\xef\xff", false},
		{document.Base64, "+-/_", "", true},
		{document.Base64, "aGVsbG8==", "", true},
		{document.Base64, "aGVsbG8=aGVs", "", true},
		{document.Base64, "a", "", true},
		{document.Base64, "Pa55word!", "", true},
		{document.Base64, "", "", false},
		{document.Hex, "68656C6c6f", "hello", false},
		{document.Hex, "68 65\n6c 6c 6f", "hello", false},
		{document.Hex, "686", "", true},
		{document.Hex, "0x68", "", true},
		{document.Hex, "", "", false},
	} {
		got, err := tt.encoding.Decode([]byte(tt.text))
		if (err != nil) != tt.fails || string(got) != tt.want {
			t.Errorf("%s %q: %q, %v; want %q, error %v", tt.encoding, tt.text, got, err, tt.want, tt.fails)
		}
		if want := "the value is not " + string(tt.encoding); err != nil && err.Error() != want {
			t.Errorf("%s %q: error %q, want %q", tt.encoding, tt.text, err, want)
		}
	}
}

func TestL4_RoundTrips(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
		for name, text := range map[string]string{
			"standard": base64.StdEncoding.EncodeToString(want), "url": base64.URLEncoding.EncodeToString(want),
			"no padding": base64.RawStdEncoding.EncodeToString(want), "url, no padding": base64.RawURLEncoding.EncodeToString(want),
		} {
			if got, err := document.Base64.Decode([]byte(folded(text))); err != nil || string(got) != string(want) {
				t.Fatalf("%s: %x, %v; want %x", name, got, err, want)
			}
		}
		text := hex.EncodeToString(want)
		for _, text := range []string{text, strings.ToUpper(text), folded(text)} {
			if got, err := document.Hex.Decode([]byte(text)); err != nil || string(got) != string(want) {
				t.Fatalf("hex: %x, %v; want %x", got, err, want)
			}
		}
	})
}

// folded breaks a text into lines, as openssl base64 and xxd do.
func folded(text string) string {
	var b strings.Builder
	for i, c := range []byte(text) {
		if i%5 == 4 {
			b.WriteString("\r\n ")
		}
		b.WriteByte(c)
	}
	return b.String() + "\n"
}

func TestL4_EachValueOfAnObject(t *testing.T) {
	p, err := pairs(t, `{"key":"a2V5","cert":"Y2VydA","none":null}`).Decode(document.Base64)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"key": "key", "cert": "cert", "none": ""}, texts(p)); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
	for object, want := range map[string]string{
		`{"a":"Pa55word!","b":"Y2VydA"}`: `key "a" has a value that is not base64`,
		`{"a":1234,"b":true,"c":[]}`:     `each of the keys "a", "b", "c" has a value that is not a string, and so not base64`,
	} {
		if _, err := pairs(t, object).Decode(document.Base64); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", object, err, want)
		}
	}
	binary, err := pairs(t, `{"a":"ff"}`).Decode(document.Hex)
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range document.Formats() {
		if !format.OneFile() {
			continue
		}
		if _, err := binary.Document(format); err == nil || err.Error() != `key "a" has a value that is not text in UTF-8` {
			t.Errorf("bytes in %s: %v", format, err)
		}
	}
}
