package volume_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"secrets-provider-aws/provider/volume"
)

// A value is never visible when it is printed, logged or marshalled, alone or inside another value.
func TestD18_ContentIsNeverPrinted(t *testing.T) {
	const value = "hunter2-hunter2"
	content := volume.Content(value)
	file := volume.File{Path: "db", Content: content, Version: "1"}
	for name, v := range map[string]any{
		"content": content, "pointer": &content, "file": file, "files": []volume.File{file}, "pointer to a file": &file,
		"value": volume.Value{Content: content}, "members": volume.Value{Members: []volume.Member{{Name: "a", Value: volume.Value{Content: content}}}},
		"map": map[string]volume.Content{"db": content}, "error": fmt.Errorf("read %v", content),
	} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c", "%U", "%o", "%t", "%08.3f"} {
			checkHidden(t, name+" by "+verb, fmt.Sprintf(verb, v))
		}
		marshalled, err := json.Marshal(v)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		checkHidden(t, name+" in JSON", string(marshalled))
		for _, handler := range []func(*bytes.Buffer) slog.Handler{
			func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
			func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
		} {
			var logs bytes.Buffer
			slog.New(handler(&logs)).Info("mount", "value", v)
			checkHidden(t, name+" in a log", logs.String())
		}
	}
	if got := fmt.Sprintf("%v", content); got != "[redacted]" {
		t.Errorf("prints as %q, want [redacted]", got)
	}
}

// checkHidden fails the test if shown contains the value as text, base64, hexadecimal or a list of numbers.
func checkHidden(t *testing.T, where, shown string) {
	t.Helper()
	for _, form := range []string{"hunter2", "aHVudGVyMi", "68756e746572", "68756E746572", "104 117 110", "104, 117", "0x68", "U+0068"} {
		if strings.Contains(shown, form) {
			t.Errorf("%s: shows %s", where, shown)
		}
	}
}
