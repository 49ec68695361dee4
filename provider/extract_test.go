package provider_test

import (
	"fmt"
	"strings"
	"testing"

	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/test/awssim"
)

// jmes returns an entry for a secret with jmesPath entries, each `expression=alias`.
func jmes(name string, entries ...string) string {
	text := secret(name) + "  jmesPath:\n"
	for _, e := range entries {
		i := strings.LastIndex(e, "=")
		text += fmt.Sprintf("  - {path: %q, objectAlias: %q}\n", e[:i], e[i+1:])
	}
	return text
}

func TestI7_ResultsAreWrittenAsTheirJSON(t *testing.T) {
	b := start(t, awssim.State{})
	id := b.PutSecret(region, "db", `{"text":"päss \"word\"\n","int":12345678901234567890,"float":1.50,"exp":1E+2,"yes":true,"no":false,
		"object":{"b":1,"a":[1.0,null,"x"]},"list":[ 1, "two" ],"a-b":"dash","empty":"","html":"<&>"}`)
	got := b.files(jmes("db", "text=text", "int=int", "float=float", "exp=exp", "yes=yes", "no=no", "object=object", "list=list",
		`"a-b"=dash`, "empty=empty", "list[1]=two", "[int, float]=both", "html=html", "{h: html}=object-html"))[1:]
	wantContents(t, got,
		"text = päss \"word\"\n @ "+id,
		"int = 12345678901234567890 @ "+id,
		"float = 1.50 @ "+id,
		"exp = 1E+2 @ "+id,
		"yes = true @ "+id,
		"no = false @ "+id,
		`object = {"a":[1.0,null,"x"],"b":1} @ `+id,
		`list = [1,"two"] @ `+id,
		"dash = dash @ "+id,
		"empty =  @ "+id,
		"two = two @ "+id,
		"both = [12345678901234567890,1.50] @ "+id,
		"html = <&> @ "+id,
		`object-html = {"h":"<&>"} @ `+id,
	)
}

func TestK43_JMESPathOnParameterAndBinary(t *testing.T) {
	b := start(t, awssim.State{
		Parameters: []awssim.Parameter{{Region: region, Name: "/app", Value: `{"k":"of the parameter"}`}},
		Secrets:    []awssim.Secret{{Region: region, Name: "bin", Versions: []awssim.SecretVersion{{ID: versionOne, Binary: []byte(`{"k":"of the binary"}`)}}}},
	})
	wantContents(t, b.files(
		object("/app", "ssmparameter")+"  jmesPath: [{path: k, objectAlias: p}]\n"+jmes("bin", "k=b"),
	), `_app = {"k":"of the parameter"} @ 1`, "p = of the parameter @ 1", `bin = {"k":"of the binary"} @ `+versionOne, "b = of the binary @ "+versionOne)
}

// A null or missing result is an error. No error contains a part of the value.
func TestI1_RealCauseInTheMessage_JMESPath(t *testing.T) {
	const keys = " (compare it with the keys of the value; a key with a dash or a dot needs double quotes)"
	for _, tt := range []struct {
		name, value, expression string
		kind                    fault.Kind
		want                    string
	}{
		{"missing key", `{"SECRET":"SECRET"}`, "password", fault.NotFound,
			`cannot write file "out" from secret "db": jmesPath "password" selects nothing, or null` + keys},
		{"null", `{"password":null}`, "password", fault.NotFound,
			`cannot write file "out" from secret "db": jmesPath "password" selects nothing, or null` + keys},
		{"dash read as an operator", `{"a-b":"SECRET"}`, `'a'.b`, fault.NotFound,
			`cannot write file "out" from secret "db": jmesPath "'a'.b" selects nothing, or null` + keys},
		{"not JSON", "SECRET", "password", fault.Content,
			`cannot write file "out" from secret "db": the value is not JSON, so jmesPath "password" cannot select from it (store JSON, or leave jmesPath out)`},
		{"JSON and more", `{"password":"SECRET"} SECRET`, "password", fault.Content,
			`cannot write file "out" from secret "db": the value is not JSON, so jmesPath "password" cannot select from it (store JSON, or leave jmesPath out)`},
		{"wrong type", `{"password":"SECRET"}`, "sum(password)", fault.Content,
			`cannot write file "out" from secret "db": jmesPath "sum(password)" cannot be evaluated: the expression fails on this value: argument 1 of sum must be an array of numbers, not a string`},
		{"too large", `{"password":"` + strings.Repeat("SECRET", 10_000) + `"}`, "[password,password,password,password,password,password,password,password,password,password,password,password,password,password,password,password,password,password]",
			fault.Content, `cannot write file "out" from secret "db": jmesPath "[password,password,password,password,password,password,password,password,password,password,password,password,password,pa…" gives more than one volume can hold`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := start(t, awssim.State{})
			b.PutSecret(region, "db", tt.value)
			e := b.fetchError(jmes("db", tt.expression+"=out"))
			wantError(t, e, tt.kind, tt.want)
			if shown := fmt.Sprintf("%v %+v %#v %v", e, e, e.Cause, e.Unwrap()); strings.Contains(shown, "SECRET") {
				t.Errorf("the error contains the value: %s", shown)
			}
		})
	}
}

func TestI1_EveryJMESPathFaultIsNamed(t *testing.T) {
	b := start(t, awssim.State{})
	b.PutSecret(region, "db", `{"user":"app"}`)
	b.PutSecret(region, "text", `text`)
	e := b.fetchError(jmes("db", "user=user", "port=port", "host=host") + jmes("text", "a=a"))
	const keys = " (compare it with the keys of the value; a key with a dash or a dot needs double quotes)"
	wantError(t, e, fault.NotFound, `3 failures: `+
		`(1) cannot write file "port" from secret "db": jmesPath "port" selects nothing, or null`+keys+`; `+
		`(2) cannot write file "host" from secret "db": jmesPath "host" selects nothing, or null`+keys+`; `+
		`(3) cannot write file "a" from secret "text": the value is not JSON, so jmesPath "a" cannot select from it (store JSON, or leave jmesPath out)`)
}
