package document_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/provider/document"
)

const db = `{"username":"app","port":5432,"big":12345678901234567890,"small":1e-3,"tls":true,"none":null,
	"replicas":["a", "b"], "options":{"z":1.50,"a":"<&>"}, "empty":""}`

func TestL3_ValuesOfKeys(t *testing.T) {
	p := pairs(t, db)
	want := map[string]string{
		"username": "app", "port": "5432", "big": "12345678901234567890", "small": "1e-3", "tls": "true", "none": "",
		"replicas": `["a","b"]`, "options": `{"a":"<&>","z":1.50}`, "empty": "",
	}
	if diff := cmp.Diff(want, texts(p)); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	var order, null []string
	for _, pair := range p {
		order = append(order, pair.Key)
		if pair.Null() {
			null = append(null, pair.Key)
		}
	}
	if got := strings.Join(order, " "); got != "big empty none options port replicas small tls username" {
		t.Errorf("keys in the order %s, want byte order", got)
	}
	if diff := cmp.Diff([]string{"none"}, null); diff != "" {
		t.Errorf("null keys (-want +got):\n%s", diff)
	}
}

func TestL3_Documents(t *testing.T) {
	p := pairs(t, db)
	for format, want := range map[document.Format]string{
		document.Env: "big=12345678901234567890\nempty=\nnone=\noptions='{\"a\":\"<&>\",\"z\":1.50}'\nport=5432\nreplicas='[\"a\",\"b\"]'\nsmall=1e-3\ntls=true\nusername=app\n",
		document.Properties: "big=12345678901234567890\nempty=\nnone=\noptions={\"a\"\\:\"<&>\",\"z\"\\:1.50}\nport=5432\nreplicas=[\"a\",\"b\"]\n" +
			"small=1e-3\ntls=true\nusername=app\n",
		document.YAML: "big: 12345678901234567890\nempty: \"\"\nnone: null\noptions: {\"a\": \"<&>\", \"z\": 1.50}\nport: 5432\nreplicas: [\"a\", \"b\"]\n" +
			"small: 1e-3\ntls: true\nusername: \"app\"\n",
		document.JSON: `{"big":12345678901234567890,"empty":"","none":null,"options":{"a":"<&>","z":1.50},"port":5432,"replicas":["a","b"],"small":1e-3,"tls":true,"username":"app"}`,
	} {
		if diff := cmp.Diff(want, write(t, p, format)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
	}
	for format, want := range map[document.Format]string{document.Env: "", document.Properties: "", document.YAML: "{}\n", document.JSON: "{}"} {
		if got := write(t, pairs(t, `{}`), format); got != want {
			t.Errorf("%s of no keys: %q, want %q", format, got, want)
		}
	}
}

func TestL3_OrderOfTheSecretChangesNothing(t *testing.T) {
	a, b := pairs(t, `{"b":{"y":1,"x":2},"a":1}`), pairs(t, ` { "a" : 1 , "b" : {"x":2,"y":1} } `)
	for _, format := range document.Formats() {
		if format.OneFile() && write(t, a, format) != write(t, b, format) {
			t.Errorf("%s differs for the same values in another order", format)
		}
	}
	if got := texts(pairs(t, `{"a":1,"a":2}`))["a"]; got != "2" {
		t.Errorf("a repeated key has the value %q, want the last", got)
	}
}

func TestL3_ValuesThatAreNoObject(t *testing.T) {
	for value, want := range map[string]string{
		"": "the value is not JSON", "Pa55word": "the value is not JSON", `{"a":1} x`: "the value is not JSON", `{"a":`: "the value is not JSON", "{\"a\":\"\xff\"}": "the value is not JSON",
		"null": "the value is null, not a JSON object with keys", ` "Pa55word"`: "the value is a string, not a JSON object with keys", "[1]": "the value is a list, not a JSON object with keys",
		"-90210": "the value is a number, not a JSON object with keys", "true": "the value is a boolean, not a JSON object with keys",
		`{"a":"\ud800"}`: `the value has a \u escape that is half of a surrogate pair and no character`, `{"\udc00":1}`: `the value has a \u escape that is half of a surrogate pair and no character`,
		`{"a":"\ud800\u0041"}`: `the value has a \u escape that is half of a surrogate pair and no character`,
		`{"a":1,"b":2,"c":3}`:  "the value has 3 keys; at most 2 are read",
	} {
		_, err := document.Parse([]byte(value), 2)
		if err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", value, err, want)
		}
		if got, want := errors.Is(err, document.ErrNotJSON), want == "the value is not JSON"; got != want {
			t.Errorf("%q: ErrNotJSON %v, want %v", value, got, want)
		}
	}
	if got := texts(pairs(t, `{"a":"\ud83d\ude00 \\ud800 \\\\ A"}`))["a"]; got != `😀 \ud800 \\ A` {
		t.Errorf("a surrogate pair and an escaped backslash give %q", got)
	}
}

func TestL3_MistakesNameTheKey(t *testing.T) {
	for name, tt := range map[string]struct {
		object string
		format document.Format
		want   string
	}{
		"no identifier": {`{"a-b":"Pa55word","ok":"x"}`, document.Env, `key "a-b" is not the name of a variable: letters, digits and _, not beginning with a digit`},
		"many":          {`{"1":1,"2":2,"3":3,"4":4,"5":5,"6":6,"7":7,"":8}`, document.Env, `each of the keys "", "1", "2", "3", "4" and 3 more is not the name of a variable: letters, digits and _, not beginning with a digit`},
		"not ASCII":     {`{"schlüssel":"x"}`, document.Env, `key "schlüssel" is not the name of a variable: letters, digits and _, not beginning with a digit`},
		"NUL":           {`{"a":"Pa55\u0000word"}`, document.Env, `key "a" has a value with a NUL character, which no variable can hold`},
		"long":          {`{"` + strings.Repeat("é", 100) + `-":1}`, document.Env, `key "` + strings.Repeat("é", 40) + `…" is not the name of a variable: letters, digits and _, not beginning with a digit`},
	} {
		for what, err := range map[string]error{
			"Size":     second(pairs(t, tt.object).Size(tt.format)),
			"Document": second(pairs(t, tt.object).Document(tt.format)),
		} {
			if err == nil || err.Error() != tt.want {
				t.Errorf("%s: %s: %v, want %s", name, what, err, tt.want)
			}
		}
	}
	if _, err := pairs(t, `{}`).Document(document.Files); err == nil {
		t.Error("files became one document")
	}
}

func second[T any](_ T, err error) error { return err }

func TestL3_PairsDoNotPrintValues(t *testing.T) {
	p := pairs(t, `{"password":"Pa55word"}`)
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "pairs", p, "pair", p[0])
	for _, text := range []string{fmt.Sprintf("%v %+v %#v %s %d %x", p, p, p, p, p, p), fmt.Sprintf("%v %#v %s %x", p[0], p[0], p[0], p[0]), log.String()} {
		if strings.Contains(text, "Pa55word") || strings.Contains(text, "5061") || strings.Contains(text, "80 97") {
			t.Errorf("a value was printed: %s", text)
		}
	}
}

func TestL2_SelectedValuesAreTexts(t *testing.T) {
	p := document.Of(map[string][]byte{"url": []byte("postgres://x"), "port": []byte("5432"), "debug": []byte("true")})
	if got, want := write(t, p, document.YAML), "debug: \"true\"\nport: \"5432\"\nurl: \"postgres://x\"\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := write(t, p, document.JSON), `{"debug":"true","port":"5432","url":"postgres://x"}`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
