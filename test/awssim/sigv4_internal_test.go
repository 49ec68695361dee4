package awssim

import (
	"net/url"
	"testing"
)

// The examples of the signing rules: sorted by name, then by value, each encoded
// with %20 for a space, and "=" after a name without value.
func TestCanonicalQuery(t *testing.T) {
	for query, want := range map[string]string{
		"":                          "",
		"e=5&d=4&c=3&b=2&a=1&f&0=x": "0=x&a=1&b=2&c=3&d=4&e=5&f=",
		"a=2&a=1&A=3":               "A=3&a=1&a=2",
		"k=a+b%2Fc%7E~*":            "k=a%20b%2Fc~~%2A",
	} {
		if got := canonicalQuery(&url.URL{RawQuery: query}); got != want {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
}

func TestCanonicalPath(t *testing.T) {
	for path, want := range map[string]string{"": "/", "/": "/", "/a b/c": "/a%2520b/c"} {
		if got := canonicalPath(&url.URL{Path: path}); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}
