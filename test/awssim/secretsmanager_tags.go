// The tags of secrets.

package awssim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// secretTag is one tag of a secret.
type secretTag struct{ Key, Value string }

// tagList returns tags sorted by key.
func tagList(tags map[string]string) []secretTag {
	var out []secretTag
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, secretTag{key, tags[key]})
	}
	return out
}

// checkTags checks the limits of tags: at most 50, keys of 1 to 128 characters,
// values of at most 256. Source: API reference of the data type Tag.
func checkTags(tags []secretTag) error {
	if len(tags) > 50 {
		return fmt.Errorf("has %d tags, more than 50", len(tags))
	}
	for i, t := range tags {
		switch {
		case t.Key == "" || len(t.Key) > 128 || len(t.Value) > 256 || strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
			return fmt.Errorf("tag %q=%q is not valid", t.Key, t.Value)
		case slices.ContainsFunc(tags[:i], func(other secretTag) bool { return other.Key == t.Key }):
			return fmt.Errorf("tag %q is there twice", t.Key)
		}
	}
	return nil
}
