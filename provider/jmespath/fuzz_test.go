package jmespath

import (
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	oracle "github.com/jmespath/go-jmespath"
)

// realExpressions are typical for SecretProviderClasses.
var realExpressions = []string{
	"username", "dbInstance.host", `"dash-ed"`, "nested.a[1].b", "users[0].name", "users[?name=='bob'].id | [0]", "users[*].name | join(',', @)",
	"to_string(port)", "to_string(@)", "not_null(missing, username)", "missing || username", "on && username", "keys(@)", "length(users)",
	"sort_by(users, &name)[-1].name", "max_by(users, &id).name", "{user: username, pass: password}", "[username, password]",
	"users[].{n: name, i: id}", "*.name", "users[?id > `1` && !(name == 'x')]", "merge(nested, `{\"x\": 1.0}`)", "users[::-1][:1]",
	"map(&to_string(id), users)", "starts_with(username, 'a')", "reverse(username)", "values(nested)[]", "type(@)", "sum(costs)", "avg(costs)",
	"to_number('5')", "to_array(port)", "contains(username, 'd')", "ceil(ratio)", "floor(ratio)", "abs(ratio)", "sort(costs)", "min(costs)",
}

// brokenExpressions crash other libraries.
var brokenExpressions = []string{
	"a\u0080", "@(a)", "'length'(@)", "merge('x')", "[1:2:9223372036854775807]", "contains(@, [`1`])", "[-]", "[:::]", "`", "'\\", `"\`, "[?", "&a", "{a:",
	"sum(x)[] || 'y'", "foo.*.type(@)", "$", "let $a = b in c", "a - b", "a * b", "f(a", "not_null(", "a[0", "*.*.*", "@.*|[*]", "!!!a", "`1e400`", "-", "=",
}

// FuzzCompileExpression checks that go-jmespath also compiles what Compile accepts, and that Extract then works without
// a panic and within its limits.
func FuzzCompileExpression(f *testing.F) {
	for _, texts := range [][]string{realExpressions, brokenExpressions} {
		for _, text := range texts {
			f.Add(text)
		}
	}
	for _, text := range hostileExpressions {
		if len(text) < 200 { // longer ones are slow to mutate and have their own test
			f.Add(text)
		}
	}
	f.Add("[@,@]|[@,@]|[@,@][]|join('',[@,@])|map(&[@,@],@)")
	var documents []*Document
	for _, value := range []string{secret, `[[1,2],[3,[4]],{"a":[{"b":"c"}]}]`, `"text"`, `null`, fill(1000, "[", "[0,1]", "]")} {
		documents = append(documents, parsed(f, value))
	}
	f.Fuzz(func(t *testing.T, text string) {
		e, err := Compile(text)
		if err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") || len(err.Error()) > 600 {
				t.Errorf("not one short line: %q", err)
			}
			return
		}
		if _, err := classic(text, nil); errors.As(err, new(oracle.SyntaxError)) {
			t.Errorf("go-jmespath refuses it: %v", err)
		}
		for _, d := range documents {
			checkExtract(t, e, d)
		}
	})
}

// FuzzExtract compares results with go-jmespath, if that has one and float64 can represent it.
func FuzzExtract(f *testing.F) {
	documents := []string{
		`{"username":"admin","port":5432,"on":true,"none":null,"ratio":1.5,"costs":[3,1,2],"nested":{"z":1,"a":[1,{"b":"<&>"}]},` +
			`"users":[{"name":"zoe","id":2},{"name":"bob","id":1}]}`,
		`[[1,2],[3,[4]],{"a":[{"b":"c"}]},"x",null,true]`, `{}`, `0.5`, `"ä\u0000"`, `[-0.0,1e3,10,100e-1]`,
	}
	for _, text := range realExpressions {
		f.Add(documents[0], text)
	}
	for _, text := range brokenExpressions {
		f.Add(documents[1], text)
	}
	for i, value := range documents {
		f.Add(value, realExpressions[i])
	}
	f.Fuzz(func(t *testing.T, value, text string) {
		d, err := Parse([]byte(value))
		if err != nil {
			return
		}
		e, err := Compile(text)
		if err != nil {
			return
		}
		checkExtract(t, e, d)
		if exotic.MatchString(value) || exotic.MatchString(text) || uses(e.root, different) {
			return
		}
		got, err := evaluate(text, d)
		want, oracleErr := classic(text, []byte(value))
		if oracleErr != nil || errors.Is(err, errTooCostly) || errors.Is(err, ErrResultTooLarge) {
			return
		}
		if err != nil {
			t.Fatalf("%v, but go-jmespath returns %v", err, want)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-go-jmespath +ours:\n%s", diff)
		}
	})
}

// exotic matches numbers that float64 may not represent.
var exotic = regexp.MustCompile(`\d{15}|\.\d{12}|[eE][+-]?\d{2}`)

// different matches expressions for which go-jmespath gives other results. It returns the values of an object in random
// order after as many nulls, and keys in random order. It sorts the document in place. It computes with float64 and
// converts every string to it.
func different(n *node) bool {
	functions := []string{"keys", "values", "sort_by", "sum", "avg", "ceil", "floor", "to_number"}
	return n.op == opProjectMap || n.op == opCall && slices.Contains(functions, n.name)
}

func uses(n *node, is func(*node) bool) bool {
	return is(n) || slices.ContainsFunc(n.kids, func(kid *node) bool { return uses(kid, is) })
}

// classic runs go-jmespath and recovers its panics.
func classic(text string, value []byte) (result any, err error) {
	defer func() {
		if recover() != nil {
			result, err = nil, errors.New("panic")
		}
	}()
	e, err := oracle.Compile(text)
	if err != nil || value == nil {
		return nil, err
	}
	var document any
	if err := json.Unmarshal(value, &document); err != nil {
		return nil, err
	}
	if result, err = e.Search(document); err != nil {
		return nil, err
	}
	if f, ok := result.(float64); ok && math.IsNaN(f) {
		return nil, errors.New("not a number")
	}
	encoded, err := json.Marshal(result) // normalises -0 and the like
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(encoded, &result)
	return result, err
}

// checkExtract checks the properties of every result.
func checkExtract(t *testing.T, e *Expression, d *Document) {
	t.Helper()
	content, err := e.Extract(d)
	if err != nil {
		if !known(err) || content != nil {
			t.Errorf("%d bytes, unknown error %v", len(content), err)
		}
		return
	}
	if len(content) > MaxResult {
		t.Errorf("%d bytes", len(content))
	}
	if again, err := e.Extract(d); err != nil || string(again) != string(content) {
		t.Errorf("first %q, then %q and error %v", content, again, err)
	}
	run := evaluation{budget: maxCost}
	v, _ := run.eval(e.root, d.value)
	if text, ok := v.(string); ok {
		if text != string(content) {
			t.Errorf("got %q of the string %q", content, text)
		}
		return
	}
	back, err := Parse(content)
	if err != nil {
		t.Fatalf("not JSON: %q", content)
	}
	same, err := (&evaluation{budget: math.MaxInt}).equal(v, back.value)
	if !errors.Is(err, errTooLong) && (!same || err != nil) {
		t.Errorf("%q parses to another value (error %v)", content, err)
	}
}
