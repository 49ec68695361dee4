package jmespath

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const secret = `{
	"username": "admin", "password": "p&<>\"ä\u2028", "dash-ed": "d", "let": "l", "in": "i", "empty": "", "none": null,
	"on": true, "off": false, "port": 5432, "ratio": 1.0, "big": 12345678901234567890, "huge": 1e400, "tiny": 1E-400,
	"zero": -0, "costs": [0.1, 0.2, 0.30], "versions": [2, 10, 1.0, 12345678901234567891, 12345678901234567890],
	"users": [{"name": "zoe", "id": 12345678901234567891}, {"name": "bob", "id": 12345678901234567890}],
	"nested": {"z": 1.50, "a": [1, {"y": null, "b": "<&>"}]}, "one": [7], "list": [], "object": {}
}`

// results maps an expression on secret to the content of its file.
var results = []struct{ expression, want string }{
	{`username`, "admin"},
	{`password`, "p&<>\"ä\u2028"},
	{`"dash-ed"`, "d"},
	{`let`, "l"},
	{`in`, "i"},
	{`empty`, ""},
	{`on`, "true"},
	{`off`, "false"},
	{`nested`, `{"a":[1,{"b":"<&>","y":null}],"z":1.50}`},
	{`users[*].name`, `["zoe","bob"]`},
	{`users[?name=='bob'] | [0].name`, "bob"},
	{`list`, `[]`},
	{`object`, `{}`},
	{`{z: username, a: port}`, `{"a":5432,"z":"admin"}`},
	{`[password]`, `["p&<>\"ä\u2028"]`},

	// Numbers as written.
	{`port`, "5432"},
	{`ratio`, "1.0"},
	{`big`, "12345678901234567890"},
	{`huge`, "1e400"},
	{`tiny`, "1E-400"},
	{`zero`, "-0"},
	{`[huge, ratio]`, "[1e400,1.0]"},
	{"`1.0`", "1.0"},
	{"`[12345678901234567890]`", "[12345678901234567890]"},
	{`sort(versions)`, "[1.0,2,10,12345678901234567890,12345678901234567891]"},
	{`max(versions)`, "12345678901234567891"},
	{`min(versions)`, "1.0"},
	{`max_by(users, &id).name`, "zoe"},
	{`sort_by(users, &id)[*].id`, "[12345678901234567890,12345678901234567891]"},
	{"users[?id==`12345678901234567891`].name", `["zoe"]`},
	{"users[?id>`12345678901234567890`].name", `["zoe"]`},
	{"versions[?@==`1`]", "[1.0]"},
	{"contains(versions, `1.00`)", "true"},
	{"huge > `1e399`", "true"},
	{"tiny < `1e-399` && tiny > `0`", "true"},
	{"zero == `0.0`", "true"},
	{"`-2` < `-1`", "true"},
	{`sum(costs)`, "0.6"},
	{`sum(versions)`, "24691357802469135794"},
	{`sum(list)`, "0"},
	{`avg(costs)`, "0.2"},
	{"avg(`[1,0,0]`)", "0.3333333333333333"},
	{"floor(`-1.5`)", "-2"},
	{"ceil(`-1.5`)", "-1"},
	{"floor(`3.99999999999999999999`)", "3"},
	{"ceil(`1.0`)", "1"},
	{"abs(`-1.0`)", "1.0"},
	{`to_number('1.0')`, "1.0"},
	{`to_number('1e400')`, "1e400"},
	{`to_number('05')`, "5"},

	// to_string as in AWS's provider, unless that changes the number.
	{`to_string(port)`, "5432"},
	{`to_string(ratio)`, "1"},
	{`to_string(big)`, "12345678901234567890"},
	{`to_string(huge)`, "1e400"},
	{`to_string(nested)`, `{"a":[1,{"b":"\u003c\u0026\u003e","y":null}],"z":1.5}`},
	{`to_string(username)`, "admin"},
	{`to_string(none)`, "null"},

	// Always in the order of the keys.
	{`keys(nested)`, `["a","z"]`},
	{`values(nested)`, `[[1,{"b":"<&>","y":null}],1.50]`},
	{`nested.*`, `[[1,{"b":"<&>","y":null}],1.50]`},

	// An error counts as null if it does in go-jmespath.
	{`sum(username)[] || 'none'`, "none"},
	{`keys(missing)[?@] || 'none'`, "none"},

	// Raw strings of 2015: only the delimiter can be escaped.
	{`'a\\b'`, `a\\b`},
	{`'it\'s'`, `it's`},
	{`'\\''`, `\'`},

	// Commas that go-jmespath does not require.
	{`join('-' users[].name,)`, "zoe-bob"},
	{`{a: username b: port}`, `{"a":"admin","b":5432}`},
}

func TestI7_ResultIsTextOrExactJSON(t *testing.T) {
	d := parsed(t, secret)
	for _, c := range results {
		t.Run(c.expression, func(t *testing.T) {
			got, err := compiled(t, c.expression).Extract(d)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, string(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestK44_NullOrMissingResultIsAnError(t *testing.T) {
	d := parsed(t, secret)
	for _, expression := range []string{
		`missing`, `none`, `missing.deep[0].er`, `username.x`, `one[1]`, `one[-2]`, `max(list)`, `avg(list)`, `to_number('x')`,
		"to_number('Inf')", "`null`", `users.name`, `username < port`, `username[0]`, `username[:2]`, `not_null(none, missing)`,
	} {
		if got, err := compiled(t, expression).Extract(d); !errors.Is(err, ErrNoResult) {
			t.Errorf("%s: got %q and error %v, want ErrNoResult", expression, got, err)
		}
	}
}

func TestI1_EvaluationErrorNamesTheCause(t *testing.T) {
	d := parsed(t, secret)
	for _, c := range []struct{ expression, want string }{
		{`sum(username)`, "the expression fails on this value: argument 1 of sum must be an array of numbers, not a string"},
		{`sum([port, username])`, "the expression fails on this value: argument 1 of sum must be an array of numbers, not an array of something else"},
		{`abs(costs)`, "the expression fails on this value: argument 1 of abs must be a number, not an array"},
		{`join(port, one)`, "the expression fails on this value: argument 1 of join must be a string, not a number"},
		{`length(none)`, "the expression fails on this value: argument 1 of length must be a string or an array or an object, not null"},
		{`merge(object, on)`, "the expression fails on this value: argument 2 of merge must be an object, not a boolean"},
		{`keys(missing)[]`, "the expression fails on this value: argument 1 of keys must be an object, not null"},
		{`sort_by(users, &missing)`, "the expression fails on this value: the keys for max_by, min_by and sort_by must be all numbers or all strings"},
		{"sum([huge, `1e-1001`])", "the expression fails on this value: a number has too many digits to compute with"},
		{"`1e9999999999999999999` > port", "the expression fails on this value: a number has too many digits to compute with"},
	} {
		got, err := compiled(t, c.expression).Extract(d)
		if !errors.Is(err, ErrEvaluation) {
			t.Errorf("%s: got %q and error %v, want ErrEvaluation", c.expression, got, err)
		} else if diff := cmp.Diff(c.want, err.Error()); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.expression, diff)
		}
	}
}

func TestI1_SyntaxErrorNamesThePosition(t *testing.T) {
	for _, c := range []struct{ expression, want string }{
		{"", `syntax error at character 1: unexpected end of the expression`},
		{"a.", `syntax error at character 3: unexpected end of the expression`},
		{"'ä' ]", `syntax error at character 5: unexpected "]"`},
		{"a[0", `syntax error at character 4: unexpected end of the expression`},
		{"a[?b", `syntax error at character 5: expected "]", found end of the expression`},
		{"foo-bar", `syntax error at character 4: unexpected "-"; put a name with a dash in "double-quotes"`},
		{`"foo`, `syntax error at character 1: "\"" is not closed`},
		{`"\x"`, `syntax error at character 1: a name in double quotes must be a JSON string`},
		{"a == `b`", "syntax error at character 6: the text in backticks must be JSON; write a string 'like this'"},
		{"a = b", `syntax error at character 3: unexpected "="`},
		{"a\u0080", `syntax error at character 2: unexpected "\u0080"`},
		{"a\nb", `syntax error at character 3: unexpected "b"`},
		{"$", `syntax error at character 1: unexpected "$"`},
		{"a * b", `syntax error at character 3: unexpected "*"`},
		{"upper(a)", `syntax error at character 1: there is no function "upper"`},
		{"a | pad_left(a, `9`)", `syntax error at character 5: there is no function "pad_left"`},
		{`"length"(a)`, `syntax error at character 1: write a function name without quotes`},
		{"@(a)", `syntax error at character 2: unexpected "("`},
		{"join(a)", `syntax error at character 1: join takes 2 argument(s), not 1`},
		{"not_null()", `syntax error at character 1: not_null takes at least 1 argument(s), not 0`},
		{"sort_by(a, b)", `syntax error at character 1: argument 2 of sort_by must begin with "&"`},
		{"[&a]", `syntax error at character 2: "&" can only begin an argument of map, max_by, min_by or sort_by`},
		{"type(&a)", `syntax error at character 6: "&" can only begin an argument of map, max_by, min_by or sort_by`},
		{"a[::0]", `syntax error at character 5: the step of a slice cannot be 0`},
		{"a[99999999999999999999]", `syntax error at character 3: "99999999999999999999" is out of range`},
		{"\xff", `the expression is not valid UTF-8`},
	} {
		e, err := Compile(c.expression)
		if err == nil {
			t.Errorf("%q compiles to %v", c.expression, e)
		} else if diff := cmp.Diff(c.want, err.Error()); diff != "" {
			t.Errorf("%q: -want +got:\n%s", c.expression, diff)
		}
	}
}

func TestI11_LongOrDeepExpressionIsRefused(t *testing.T) {
	nested := func(open, inner, end string, n int) string {
		return strings.Repeat(open, n) + inner + strings.Repeat(end, n)
	}
	const tooDeep, tooLong = "the expression is nested deeper than 64 levels", "the expression is longer than 4096 bytes"
	for _, c := range []struct {
		name       string
		expression func(n int) string
		fits       int // the greatest valid n
		want       string
	}{
		{"not", func(n int) string { return nested("!", "a", "", n) }, 63, tooDeep},
		{"parentheses", func(n int) string { return nested("(", "a", ")", n) }, 63, tooDeep},
		{"lists", func(n int) string { return nested("[", "a", "]", n) }, 63, tooDeep},
		{"objects", func(n int) string { return nested("{a:", "a", "}", n) }, 63, tooDeep},
		{"calls", func(n int) string { return nested("to_array(", "a", ")", n) }, 63, tooDeep},
		{"filters", func(n int) string { return nested("[?", "a", "]", n) }, 63, tooDeep},
		{"length", func(n int) string { return strings.Repeat("a", n) }, 4096, tooLong},
		{"length of a chain, which is not nested", func(n int) string { return nested("a.", "a", "", (n-1)/2) }, 4096, tooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Compile(c.expression(c.fits)); err != nil {
				t.Errorf("%d: %v", c.fits, err)
			}
			if _, err := Compile(c.expression(c.fits + 1)); err == nil || err.Error() != c.want {
				t.Errorf("%d: got error %v, want %q", c.fits+1, err, c.want)
			}
			if _, err := Compile(c.expression(500_000)); err == nil || err.Error() != tooLong {
				t.Errorf("500000: got error %v, want %q", err, tooLong)
			}
		})
	}
}

func TestK43_OnlyJSONIsParsed(t *testing.T) {
	for _, value := range []string{
		"", " ", "password", "{", `{"a":1}}`, `{"a":1} {"b":2}`, "1 2", `{"a":01}`, `{a:1}`, `{"a":NaN}`, "\ufeff{}", "{}\x00",
		"\"\xff\"", "\x00\x01", strings.Repeat("[", 10_001) + strings.Repeat("]", 10_001), strings.Repeat("[", 1<<16),
	} {
		if d, err := Parse([]byte(value)); !errors.Is(err, ErrNotJSON) {
			t.Errorf("%.20q: got %v and error %v, want ErrNotJSON", value, d, err)
		}
	}
	for value, want := range map[string]string{
		` {"a": 1} ` + "\n":         "1",
		`{"a":1,"a":2}`:             "2",
		`{"a":{"b":1},"a":{"c":2}}`: `{"c":2}`,
		`{"a":"\ud83d\ude00"}`:      "😀",
	} {
		got, err := compiled(t, "a").Extract(parsed(t, value))
		if err != nil || string(got) != want {
			t.Errorf("%s: got %q and error %v, want %q", value, got, err, want)
		}
	}
	for _, value := range []string{`"text"`, `1.0`, `true`, `[1]`, strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)} {
		got, err := compiled(t, "@").Extract(parsed(t, value))
		if want := strings.Trim(value, `"`); err != nil || string(got) != want {
			t.Errorf("%.20s: got %.20q and error %v", value, got, err)
		}
	}
}

// TestD18_NoValueIsShown searches for a secret value in every error and in every output of a document.
func TestD18_NoValueIsShown(t *testing.T) {
	const canary = "c4n4ry"
	d := parsed(t, fmt.Sprintf(`{"s":%q,"n":1234512345,"l":[%q,1],"o":{%q:%q},"x":1e99999999999999999999}`, canary, canary, canary, canary))
	var shown []string
	for name, f := range functions {
		for _, value := range []string{"s", "n", "l", "o", "x", "@"} {
			args := make([]string, len(f.arguments))
			for i := range args {
				if args[i] = value; f.arguments[i] == isReference {
					args[i] = "&" + value
				}
			}
			if _, err := compiled(t, name+"("+strings.Join(args, ",")+")").Extract(d); err != nil {
				shown = append(shown, err.Error())
			}
		}
	}
	if len(shown) < 2*len(functions) {
		t.Errorf("only %d errors of %d functions: the test no longer covers the errors", len(shown), len(functions))
	}
	_, notJSON := Parse([]byte(`{"password": ` + canary + `}`))
	logged := new(bytes.Buffer)
	slog.New(slog.NewJSONHandler(logged, nil)).Info("x", "document", d)
	asJSON, _ := json.Marshal(d)
	shown = append(shown, notJSON.Error(), logged.String(), string(asJSON),
		fmt.Sprint(d), fmt.Sprintf("%v %+v %#v %s %d", d, d, d, d, d), fmt.Sprintf("%+v", struct{ D *Document }{d}), fmt.Sprintf("%+v", *d))
	for _, text := range shown {
		if strings.Contains(text, canary) || strings.Contains(text, "1234512345") {
			t.Errorf("a value is visible: %s", text)
		}
		if strings.Contains(strings.TrimSpace(text), "\n") {
			t.Errorf("not one line: %q", text)
		}
	}
}

// TestDocumentIsNeverChanged runs expressions that sort the same document concurrently.
func TestDocumentIsNeverChanged(t *testing.T) {
	d := parsed(t, secret)
	before := extract(t, "@", d)
	var group sync.WaitGroup
	for _, c := range results {
		e := compiled(t, c.expression)
		group.Go(func() { _, _ = e.Extract(d) })
	}
	group.Wait()
	if diff := cmp.Diff(before, extract(t, "@", d)); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}

func compiled(t testing.TB, text string) *Expression {
	t.Helper()
	e, err := Compile(text)
	if err != nil {
		t.Fatalf("%.80s: %v", text, err)
	}
	return e
}

func parsed(t testing.TB, value string) *Document {
	t.Helper()
	d, err := Parse([]byte(value))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func extract(t testing.TB, text string, d *Document) string {
	t.Helper()
	content, err := compiled(t, text).Extract(d)
	if err != nil {
		t.Fatalf("%.80s: %v", text, err)
	}
	return string(content)
}

// Constant is true exactly if no part of the expression reads the value.
func TestConstant(t *testing.T) {
	for expression, want := range map[string]struct {
		text     string
		constant bool
	}{
		`'dash-ed'`:              {"dash-ed", true},
		"`\"dash-ed\"`":          {"dash-ed", true},
		"`7`":                    {"", true},
		`'a' || 'b'`:             {"", true},
		`!'a'`:                   {"", true},
		`['a', {b: 'c'}]`:        {"", true},
		`username | 'a'`:         {"", true},
		`'a' | @`:                {"", true},
		"`[[1]]`[] | [0]":        {"", true},
		"`[1]`[*].a":             {"", true},
		"`[1]`[?@=='a']":         {"", true},
		"`[1, 2]`[1:]":           {"", true},
		`length('a')`:            {"", true},
		`@`:                      {"", false},
		`"dash-ed"`:              {"", false},
		`username || 'a'`:        {"", false},
		`join(',', [port, 'a'])`: {"", false},
		`users[?name=='bob']`:    {"", false},
		`map(&'a', users)`:       {"", false},
		`users[0]`:               {"", false},
		`*`:                      {"", false},
	} {
		e, err := Compile(expression)
		if err != nil {
			t.Fatal(err)
		}
		if text, constant := e.Constant(); text != want.text || constant != want.constant {
			t.Errorf("%s: constant %v with text %q, want %v with %q", expression, constant, text, want.constant, want.text)
		}
	}
}
