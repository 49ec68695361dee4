package class_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"secrets-provider-aws/provider/class"
)

func TestI6_AllFaultsAtOnce(t *testing.T) {
	p := params{
		"region":          "Mumbai",
		"failoverRegion":  "Ireland",
		"usePodIdentity":  "maybe",
		"pathTranslation": "True",
		"roleArn":         "payment-role",
		"objects": lines(
			"- objectName: a",
			"  objectType: ssm",
			"  filePermission: '4755'",
			"- objectName: b",
			"  objectType: ssmparameter",
			"  objectVersion: 1",
			"  objectVersionLabel: l",
			"- objectName: c",
			"  objectType: secretsmanager",
			"  objectAlias: ../etc",
			"  jmesPath:",
			"  - {path: 'a[', objectAlias: a}",
			"- objectName: c",
			"  objectType: secretsmanager",
			"- objectName: c",
			"  objectType: secretsmanager",
		),
	}
	wantFaults(t, faultsOf(t, p),
		class.Fault{Field: "region", Message: `"Mumbai" is not the name of an AWS region, such as eu-west-1`},
		class.Fault{Field: "failoverRegion", Message: `"Ireland" is not the name of an AWS region, such as eu-west-1`},
		class.Fault{Field: "usePodIdentity", Message: `"maybe" is neither true nor false`},
		class.Fault{Field: "roleArn", Message: `"payment-role" is not the ARN of an IAM role, such as arn:aws:iam::123456789012:role/payment-role`},
		class.Fault{Field: "pathTranslation", Message: `"True" is neither False nor exactly one character`},
		class.Fault{Field: "objects[0].objectType", Line: 2, Column: 15, Message: `"ssm" is not one of secretsmanager, ssmparameter`},
		class.Fault{Field: "objects[0].filePermission", Line: 3, Column: 19, Message: `"4755" is not a permission of four octal digits from 0000 to 0777`},
		class.Fault{Field: "objects[1]", Line: 4, Column: 3, Message: "a parameter takes objectVersion or objectVersionLabel, not both"},
		class.Fault{Field: "objects[2].objectAlias", Line: 10, Column: 16, Message: `gives the file name ".._etc", which begins with two dots: the CSI driver reserves such names`},
		class.Fault{Field: "objects[2].jmesPath[0].path", Line: 12, Column: 12, Message: jmesPathFault(t, "a[")},
		class.Fault{Field: "objects[2].jmesPath[0].objectAlias", Line: 12, Column: 31, Message: `secret "c" and objects[0] (secret "a") both write the file "a": give each its own objectAlias`},
		class.Fault{Field: "objects[4]", Line: 15, Column: 3, Message: `secret "c" and objects[3] (secret "c") both write the file "c": give each its own objectAlias`},
	)
}

// jmesPathFault is what Parse says of an expression alone: the words are those of package jmespath.
func jmesPathFault(t *testing.T, expression string) string {
	t.Helper()
	got := faults(t, fmt.Sprintf("- objectName: s\n  objectType: secretsmanager\n  jmesPath: [{path: %q, objectAlias: x}]\n", expression), nil)
	if len(got) != 1 || got[0].Field != "objects[0].jmesPath[0].path" || got[0].Line != 3 || got[0].Column != 21 {
		t.Fatalf("faults of jmesPath %s: %+v, want one of its path", quote(expression), got)
	}
	return got[0].Message
}

func TestI11_ExpressionsAreBounded(t *testing.T) {
	long := strings.Repeat("a", 4096)
	deep := strings.Repeat("[", 60) + "a" + strings.Repeat("]", 60)
	for _, expression := range []string{long, deep, "a.b[?c=='d'].e | [0]", `"key.with.dots"`} {
		spc := parse(t, fmt.Sprintf("- objectName: s\n  objectType: secretsmanager\n  jmesPath: [{path: %q, objectAlias: x}]\n", expression), nil)
		wantFiles(t, spc, "s", "x < "+expression)
	}
	for expression, reason := range map[string]string{
		long + "a":                   "longer than 4096 bytes",
		"[[[[[" + deep + "]]]]]":     "deeper than 64",
		strings.Repeat("!", 4000):    "deeper than 64",
		strings.Repeat("!", 200_000): "longer than 4096 bytes",
		"a.":                         "",
		"no_such_function(a)":        "no_such_function",
		"length(a, b)":               "length",
		"'open":                      "",
		"a\x00":                      "",
	} {
		got := jmesPathFault(t, expression)
		if !strings.HasPrefix(got, quote(expression)+" cannot be used: ") || !strings.Contains(got, reason) || len(got) > 400 {
			t.Errorf("message %q, want a short one: the expression cannot be used: … %s", got, reason)
		}
	}
}

func TestClassError_Message(t *testing.T) {
	list := func(n int) *class.Error {
		e := &class.Error{}
		for i := range n {
			e.Faults = append(e.Faults, class.Fault{Field: fmt.Sprintf("f%d", i), Message: "is wrong"})
		}
		return e
	}
	if got, want := list(1).Error(), "f0: is wrong"; got != want {
		t.Errorf("one fault: %q, want %q", got, want)
	}
	if got, want := list(3).Error(), "3 faults: (1) f0: is wrong; (2) f1: is wrong; (3) f2: is wrong"; got != want {
		t.Errorf("three faults: %q, want %q", got, want)
	}
	if got := list(20).Error(); !strings.HasSuffix(got, "; (20) f19: is wrong") {
		t.Errorf("twenty faults end in %q, want all of them", got)
	}
	e := list(25)
	if got := e.Error(); !strings.HasPrefix(got, "25 faults: (1) f0") || !strings.HasSuffix(got, "; (20) f19: is wrong; and 5 more") {
		t.Errorf("25 faults: %q, want twenty and a number", got)
	}
	if e.Faults[19].Field != "f19" || len(e.Faults) != 25 {
		t.Error("Error has changed the list")
	}
}

func TestClassError_IsTheCauseOfTheWhole(t *testing.T) {
	_, err := class.Parse(params{"objects": secret("a") + secret("a")}, region)
	const want = `objects[1] (line 3): secret "a" and objects[0] (secret "a") both write the file "a": give each its own objectAlias`
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	var list *class.Error
	if !errors.As(err, &list) || list.Error() != want {
		t.Errorf("cause %v, want a Error of the same words", list)
	}
}

// Names are shown escaped, and cut where they are long.
func TestT35_MessagesQuoteWhatTheyRepeat(t *testing.T) {
	got := faults(t, fmt.Sprintf("- objectName: s\n  objectType: %q\n", "a\x1b[31m\n"+strings.Repeat("é", 1000)), nil)
	want := `"a\x1b[31m\n` + strings.Repeat("é", 56) + `…" is not one of secretsmanager, ssmparameter`
	wantFaults(t, got, class.Fault{Field: "objects[0].objectType", Line: 2, Column: 15, Message: want})
}
