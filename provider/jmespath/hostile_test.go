package jmespath

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// mostAllocated limits the total allocation of one extraction from 64 KiB, with garbage.
const mostAllocated = 64 << 20

// fill repeats parts until they are n bytes.
func fill(n int, open, part, end string) string {
	return open + strings.Repeat(part+",", (n-len(open+part+end))/(len(part)+1)) + part + end
}

// numbered is like fill, with a number for %d in each part.
func numbered(n int, open, part, end string) string {
	var b strings.Builder
	b.WriteString(open)
	for i := 0; b.Len() < n-len(part)-10; i++ {
		fmt.Fprintf(&b, part+",", i)
	}
	fmt.Fprintf(&b, part+end, 0)
	return b.String()
}

// worstDocuments have 64 KiB, the limit of Secrets Manager.
var worstDocuments = map[string]string{
	"short numbers":  fill(1<<16, "[", "0", "]"),
	"long number":    fill(1<<16, "[", "1"+strings.Repeat("0", 60_000), "]"),
	"long fractions": fill(1<<16, "[", "0."+strings.Repeat("1", 900), "]"),
	"long string":    `["` + strings.Repeat("ä", 32_000) + `"]`,
	"controls":       `["` + strings.Repeat(`\u0001`, 10_900) + `"]`,
	"empty objects":  fill(1<<16, "[", "{}", "]"),
	"wide object":    numbered(1<<16, "{", `"%d":0`, "}"),
	"deep lists":     strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000),
}

// worst repeats part, joined by glue, to nearly 4 KiB.
func worst(part, glue string) string {
	return strings.Repeat(part+glue, (MaxExpression-50-len(part))/len(part+glue)) + part
}

// hostileExpressions compile. Each costs as much as 4 KiB allow.
var hostileExpressions = map[string]string{
	"lists in pipes":          worst("[@,@]", "|"),
	"wide lists in pipes":     worst("[@,@,@,@,@,@,@,@,@,@]", "|"),
	"objects in pipes":        worst("{a:@,b:@}", "|"),
	"one list in pipes":       worst("[@]", "|"),
	"flatten bomb":            worst("[@,@][]", "|"),
	"flatten in projections":  "[@,@,@,@,@,@,@,@][]" + strings.Repeat("|[@,@,@,@,@,@,@,@][]", 20),
	"text of lists":           worst("to_string([@,@])", "|"),
	"join":                    "to_string(@)|" + worst("join('',[@,@])", "|"),
	"join by a long string":   "to_string(@)|join(@,[@,@])|join(@,[@,@])|join(@,[@,@])|join(@,[@,@])",
	"length of joined text":   "to_string(@)|" + worst("join('',[@,@])", "|") + "|length(@)",
	"length of text":          "[*].length(to_string([" + strings.Repeat("@,", 400) + "@]))",
	"swallowed large texts":   "[*].[to_string([" + strings.Repeat("@,", 600) + "@])[]]",
	"merge":                   "{a:@}|" + worst("merge(@,{b:@})", "|"),
	"merge of all":            "[*].merge(" + strings.Repeat("@,", 1000) + "@)",
	"map in map":              "map(&[@,@],@)|" + worst("map(&[@,@],@)", "|"),
	"quadratic comparison":    "[@,@]|map(&[0]==[1],[" + strings.Repeat("@,", 1000) + "@])",
	"comparison of bombs":     strings.Repeat("[@,@]|", 300) + "[0]==[1]",
	"contains on bombs":       strings.Repeat("[@,@]|", 300) + "contains(@,[1])",
	"comparison of projected": "[?@==@]|[?@==@]|[?@==@]|[?@!=@]",
	"sort":                    worst("sort(@)", "|"),
	"sort_by":                 worst("sort_by(@,&to_string(@))", "|"),
	"sort_by each other":      "[@,@,@,@,@,@,@,@][]|[@,@,@,@,@,@,@,@][]|sort_by(@,&to_string(@))",
	"max_by":                  worst("max_by(@,&length(@))||@", "|"),
	"sum":                     "map(&sum([" + strings.Repeat("@,", 1000) + "@]),@)",
	"sum of sums":             "[" + strings.Repeat("sum(@),", 500) + "sum(@)]",
	"avg":                     "[" + strings.Repeat("avg(@),", 500) + "avg(@)]",
	"floor":                   "[*].floor(@)",
	"text of numbers":         "[" + strings.Repeat("to_string(@),", 300) + "to_string(@)]",
	"keys":                    "[" + strings.Repeat("keys(@),", 400) + "keys(@)]",
	"values":                  "[" + strings.Repeat("*,", 2000) + "*]",
	"reverse":                 "to_string(@)|" + worst("reverse(@)", "|"),
	"starts_with":             "[" + strings.Repeat("starts_with([0],[0]),", 180) + "@]",
	"number comparison":       "[" + strings.Repeat("[0]==[0],", 400) + "@]",
	"projections":             "[" + worst("[*]", ",") + "]",
	"nested projections":      "@" + strings.Repeat("[*]", 60),
	"nested filters":          strings.Repeat("[?", 60) + "@" + strings.Repeat("]", 60),
	"nested flattening":       "@" + strings.Repeat("[]", 2000),
	"slices":                  "@" + strings.Repeat("[::-1]", 60),
	"extreme slice":           "[1:2:9223372036854775807]|[-1:-9223372036854775807:-9223372036854775808]|[9223372036854775807:]",
	"fields":                  strings.Repeat("a.", 2047) + "a",
	"indices":                 "@" + strings.Repeat("[0]", 1365),
	"or":                      worst("b", "||"),
	"not":                     strings.Repeat("!", 63) + "@",
	"deep literal":            "`" + strings.Repeat("[", 2047) + strings.Repeat("]", 2047) + "`",
	"wide literal":            "`" + fill(4000, "[", "0", "]") + "`|" + "[*].[@,@]",
	"names as long as can be": "[" + strings.Repeat("a", 4000) + "," + strings.Repeat("a", 90) + "]",
}

// TestI11_HostileExpressionIsBounded runs every hostile expression on every worst document. Each run ends with limited
// memory and with a result of limited size, or with an error.
func TestI11_HostileExpressionIsBounded(t *testing.T) {
	for name, value := range worstDocuments {
		if len(value) > 1<<16+10 {
			t.Errorf("document %s has %d bytes", name, len(value))
		}
		t.Run(name, func(t *testing.T) {
			d := parsed(t, value)
			for name, text := range hostileExpressions {
				e := compiled(t, text)
				var content []byte
				var err error
				allocated := allocation(func() { content, err = e.Extract(d) })
				if !known(err) || len(content) > MaxResult {
					t.Errorf("%s: %d bytes, error %v", name, len(content), err)
				}
				if allocated > mostAllocated {
					t.Errorf("%s: allocated %d MiB (error %v)", name, allocated>>20, err)
				}
			}
		})
	}
}

// TestI11_HostileTextIsBounded checks the memory to refuse an expression or to parse it.
func TestI11_HostileTextIsBounded(t *testing.T) {
	for _, part := range []string{"!", "(", "[", "{a:", "[?", "&", "a.", "a|", "a||", "[*]", "[]", "[0]", "*.", "@", "'", `"`, "`", "`[", `\`, "to_array(", "-", "\u0080", "\x00", "\xff"} {
		text := strings.Repeat(part, MaxExpression/len(part))
		if allocated := allocation(func() { _, _ = Compile(text) }); allocated > 8<<20 {
			t.Errorf("%q: allocated %d KiB", part, allocated>>10)
		}
		if allocated := allocation(func() { _, _ = Compile(strings.Repeat(part, 500_000/len(part))) }); allocated > 1<<20 {
			t.Errorf("%q: allocated %d KiB to refuse a long text", part, allocated>>10)
		}
	}
}

// TestT32_BoundsLeaveRoom checks that realistic expressions on the largest secret cost far less than the limits.
func TestT32_BoundsLeaveRoom(t *testing.T) {
	users := numbered(1<<16, "[", `{"name":"user%[1]d","id":%[1]d,"on":true}`, "]")
	for expression, value := range map[string]string{
		"@":                            users,
		"[?on && name!='x'].name":      users,
		"sort_by(@,&name)[*].id":       users,
		"[*].{n:name,i:id}":            users,
		"join(',',[?id>`9`].name)":     users,
		"max_by(@,&id).name":           users,
		"to_string([*].[name,id])":     users,
		"[?contains(name,'9')] | [0]":  users,
		"keys(@)":                      worstDocuments["wide object"],
		"[*].a | sort(@) | reverse(@)": numbered(1<<16, "[", `{"a":%d}`, "]"),
		"[][] | sum(@)":                fill(1<<16, "[", fill(256, "[", "1", "]"), "]"),
		"reverse([0])":                 worstDocuments["long string"],
	} {
		e := compiled(t, expression)
		run := evaluation{budget: maxCost}
		if _, err := run.eval(e.root, parsed(t, value).value); err != nil {
			t.Errorf("%s: %v", expression, err)
		} else if spent := maxCost - run.budget; spent > maxCost/2 {
			t.Errorf("%s costs %d of %d", expression, spent, maxCost)
		}
	}
}

// known reports whether err is nil or an error of an extraction.
func known(err error) bool {
	return err == nil || errors.Is(err, ErrNoResult) || errors.Is(err, ErrResultTooLarge) || errors.Is(err, ErrEvaluation)
}

func allocation(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// BenchmarkHostile measures the worst time of one extraction.
func BenchmarkHostile(b *testing.B) {
	for docName, value := range worstDocuments {
		d := parsed(b, value)
		for name, text := range hostileExpressions {
			e := compiled(b, text)
			b.Run(docName+"/"+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					_, _ = e.Extract(d)
				}
			})
		}
	}
}

// One volume can have hundreds of expressions. Their total cost has a limit too.
func TestT32_BudgetBoundsAVolume(t *testing.T) {
	d := parsed(t, `{"a":"`+strings.Repeat("x", 60<<10)+`"}`)
	e := compiled(t, "a")
	b := NewBudget()
	bytes, extracted := 0, 0
	for ; extracted < 10_000; extracted++ {
		content, err := b.Extract(e, d)
		if err != nil {
			if !errors.Is(err, ErrEvaluation) {
				t.Fatalf("got error %v, want ErrEvaluation", err)
			}
			break
		}
		bytes += len(content)
	}
	if extracted < 500 || bytes > 40<<20 {
		t.Errorf("%d extractions of %d bytes in all went through", extracted, bytes)
	}
}
