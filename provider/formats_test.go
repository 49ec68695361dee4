package provider_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"secrets-provider-aws/internal/bytebudget"
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider"
	"secrets-provider-aws/test/awssim"
)

// manyKeys is a JSON object with n keys, k0 and so on, with this value.
func manyKeys(t *testing.T, n int, value any) string {
	t.Helper()
	values := map[string]any{}
	for i := range n {
		values[fmt.Sprint("k", i)] = value
	}
	text, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestL8_FilesOfKeysCount(t *testing.T) {
	b := start(t, awssim.State{})
	b.PutSecret(region, "full", manyKeys(t, 999, "v"))
	b.PutSecret(region, "over", manyKeys(t, 1000, "v"))
	whole := secret("full") + "  objectAlias: whole\n"
	if got := len(b.files(secret("full") + "  format: files\n" + whole)); got != 1000 {
		t.Errorf("%d files, want 1000", got)
	}
	e := b.fetchError(secret("over") + "  format: files\n" + whole)
	const want = `the volume has too many files or objects: with the keys of secret "full" it has more than 1000 (write them as one file with format: env, properties, yaml or json, select fewer, or use two volumes)`
	if e.Kind != fault.Content || e.Error() != want {
		t.Errorf("%v: %v, want %s", e.Kind, e, want)
	}
}

// A value that many formats read costs at most the work for the bytes of one volume, also if little is written.
func TestL8_FormatsReadNoMoreThanAVolume(t *testing.T) {
	b := start(t, awssim.State{})
	b.PutSecret(region, "nulls", manyKeys(t, 4000, nil))
	var objects strings.Builder
	for i := range 200 {
		fmt.Fprintf(&objects, "%s  format: files\n  objectAlias: \"%d-*\"\n", secret("nulls"), i)
	}
	e := b.fetchError(objects.String())
	if e.Kind != fault.Content || !strings.Contains(e.Error(), "its formats read 4") || !strings.Contains(e.Error(), "the CSI driver accepts 4194304") {
		t.Errorf("%v: %v, want that formats read too much", e.Kind, e)
	}
}

func TestL8_DocumentsCountTowardsTheSize(t *testing.T) {
	b := start(t, awssim.State{})
	b.PutSecret(region, "escaped", manyKeys(t, 7, strings.Repeat("\u007f", 8000))) // 6 bytes for each in properties
	var objects strings.Builder
	for i := range 20 {
		fmt.Fprintf(&objects, "%s  format: properties\n  objectAlias: %d.properties\n", secret("escaped"), i)
	}
	e := b.fetchError(objects.String())
	if e.Kind != fault.Content || !strings.Contains(e.Error(), "its first 13 files take") {
		t.Errorf("%v: %v, want a volume that is too large", e.Kind, e)
	}
}

// A document needs memory of the request. What a format needs only while it works is given back.
func TestL8_FormatsTakeMemory(t *testing.T) {
	const value = 50_000
	b := start(t, awssim.State{})
	b.PutSecret(region, "db", `{"A":"`+strings.Repeat("v", value)+`"}`)
	spc := parse(t, secret("db")+"  format: env\n  objectAlias: db.env\n", nil)
	budget := bytebudget.New(1 << 40)
	memory := budget.Open("test")
	result, err := b.fetcher.Fetch(t.Context(), provider.Request{Owner: "o", Volume: "v", Class: spc, Credentials: session{b.user}, MaxBytes: maxBytes, Memory: memory})
	if err != nil {
		t.Fatal(err)
	}
	if size := int64(len(result.Files[0].Content)); budget.Used() < size || budget.Used() > size+2*(64<<10) {
		t.Errorf("the request holds %d bytes for a document of %d", budget.Used(), size)
	}
	memory.Close()
}

// A value that does not fit its format never shows in the message.
func TestD18_MessagesOfFormatsShowNoValue(t *testing.T) {
	b := start(t, awssim.State{})
	b.PutSecret(region, "text", "Pa55word")
	b.PutSecret(region, "list", `["Pa55word"]`)
	b.PutSecret(region, "keys", `{"a-b":"Pa55word","c":"Pa55\u0000word"}`)
	b.PutSecret(region, "broken", `{"a":"Pa55word`)
	for _, name := range []string{"text", "list", "keys", "broken"} {
		for _, fields := range []string{"format: env", "objectEncoding: hex", "format: files\n  objectEncoding: hex", "format: yaml\n  objectEncoding: base64"} {
			e := b.fetchError(secret(name) + "  " + fields + "\n" + map[bool]string{true: "  objectAlias: k-*\n"}[strings.Contains(fields, "files")])
			if e.Kind != fault.Content || strings.Contains(fmt.Sprintf("%v %+v %#v", e, e, e.Cause), "Pa55") {
				t.Errorf("%s with %s: %v: %+v", name, fields, e.Kind, e)
			}
		}
	}
}

// An optional part comes and goes with its key.
func TestL5_OptionalPartsComeAndGo(t *testing.T) {
	b := start(t, awssim.State{})
	entry := secret("db") + "  objectAlias: db\n  jmesPath:\n  - {path: flag, objectAlias: flag, optional: true}\n"
	for _, tt := range []struct {
		value string
		want  []string
	}{
		{`{}`, nil}, {`{"flag":"on"}`, []string{"flag = on"}}, {`{"flag":""}`, []string{"flag = "}}, {`{"flag":null}`, nil},
	} {
		id := b.PutSecret(region, "db", tt.value)
		want := []string{"db = " + tt.value + " @ " + id}
		for _, file := range tt.want {
			want = append(want, file+" @ "+id)
		}
		wantContents(t, b.files(entry), want...)
	}
	b.PutSecret(region, "db", "no JSON")
	if e := b.fetchError(entry); e.Kind != fault.Content {
		t.Errorf("a value that is not JSON: %v", e)
	}
}
