package class

import (
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"secrets-provider-aws/internal/fault"
)

// Selection is a set of objects: parameters below a path, or secrets by the beginning of their names and by tags. Its
// members are known only when AWS is called.
type Selection struct {
	// Prefix is the path of parameters, with a slash at its end: /prod/ for /prod/* and /prod/**. Of secrets it is the
	// beginning of the names, empty only with Tags. What follows it in the name of a member is what the star stands for.
	Prefix    string
	Recursive bool  // parameters on all levels below the path, and not only those right under it
	Tags      []Tag // of secrets, all of which a member has
	Max       int   // most members; more are a fault
}

// Tag is a tag of a secret.
type Tag struct{ Key, Value string }

// NameOf is what the star stands for in the name of a member, such as db for /prod/db in /prod/*.
func (s Selection) NameOf(member string) string { return strings.TrimPrefix(member, s.Prefix) }

// Path is the path of parameters as GetParametersByPath and IAM policies take it: /prod, or / for all.
func (s Selection) Path() string {
	if s.Prefix == "/" {
		return s.Prefix
	}
	return strings.TrimSuffix(s.Prefix, "/")
}

// defaultMax is the most members of a selection without maxObjects.
const defaultMax = 100

// tagsEntry is an undecoded `tags`.
type tagsEntry struct {
	tags  []Tag
	field string
	at    position
}

// maxTags keeps a selection within the filters of one request: two for each tag and one for the name, of ten
// (Secrets Manager API reference, BatchGetSecretValue).
const maxTags = 4

// tagRE matches what a filter can carry. It would take an exclamation mark at the beginning for a negation
// (Secrets Manager API reference, Filter).
var tagRE = regexp.MustCompile(`^([A-Za-z0-9 :_@/+=.-][A-Za-z0-9 :_@/+=.!-]*)?$`)

func decodeTags(field string, node *yaml.Node, r *report) *tagsEntry {
	e := &tagsEntry{field: field, at: at(node)}
	switch {
	case isNull(node):
		return nil
	case node.Kind != yaml.MappingNode:
		r.fault(field, at(node), "is %s, not a mapping from tag keys to values", kindName(node))
		return nil
	case len(node.Content)/2 > maxTags:
		r.fault(field, at(node), "has %d tags; a selection takes at most %d", len(node.Content)/2, maxTags)
		return nil
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := follow(node.Content[i]), follow(node.Content[i+1])
		switch {
		case key.Kind != yaml.ScalarNode || value.Kind != yaml.ScalarNode || isNull(value):
			r.fault(field, at(key), "has a tag that is not a key and a string: write it as in {team: payments}")
		case key.Tag == "!!merge":
			r.fault(field, at(key), "uses a YAML merge key (<<): write its fields out")
		case seen[key.Value]:
			r.fault(field, at(key), "has the tag %s twice", fault.Quote(key.Value))
		case key.Value == "" || len(key.Value) > 128 || len(value.Value) > 256 || !tagRE.MatchString(key.Value) || !tagRE.MatchString(value.Value):
			r.fault(field, at(key), "has the tag %s, which cannot be selected: a key of 1 to 128 and a value of at most 256 letters, digits, spaces and :_@/+=.-", fault.Quote(key.Value))
		default:
			e.tags = append(e.tags, Tag{key.Value, value.Value})
		}
		seen[key.Value] = true
	}
	if len(node.Content) == 0 {
		return nil
	}
	return e
}

// selects reports whether the entry's name has a star. Neither service has one in names.
func (e *entry) selects() bool { return strings.Contains(e.name.text, "*") }

// selection is the entry's selection, or nil if it names one object.
func (e *entry) selection(kind Type, r *report) *Selection {
	if !e.selects() {
		if e.maxObjects.text != "" {
			r.fault(e.field+".maxObjects", e.maxObjects.at, "needs a selection: objectName has no *")
		}
		if e.tags != nil {
			r.fault(e.tags.field, e.tags.at, "needs a selection: objectName has no *")
		}
		return nil
	}
	e.checkSelection(kind, r)
	s := &Selection{Max: parseMax(e.field, e.maxObjects, r)}
	if e.tags != nil {
		s.Tags = e.tags.tags
	}
	s.Prefix, s.Recursive = strings.TrimRight(e.name.text, "*"), strings.HasSuffix(e.name.text, "**")
	bad := func(why string) { r.fault(e.field+".objectName", e.name.at, "%s %s", fault.Quote(e.name.text), why) }
	stars := strings.Count(e.name.text, "*")
	atEnd := len(e.name.text) - len(s.Prefix)
	switch {
	case strings.HasPrefix(e.name.text, "arn:"):
		if _, ok := typeOfARN(e.name.text); ok {
			bad("is an ARN with a *, but objects are selected by name: write their names without the ARN, and region if they are in another one")
		}
	case kind == SSMParameter && (!strings.HasPrefix(s.Prefix, "/") || !strings.HasSuffix(s.Prefix, "/") || strings.Contains(s.Prefix, "//") || stars != atEnd || stars > 2):
		bad("is not a path of parameters: write it as in /prod/payments/* for those right under it, or /prod/payments/** for all below it")
	case kind == SecretsManager && stars == 2 && atEnd == 2:
		bad("has ** at the end, which is for parameters: one * takes the whole rest of a secret's name")
	case kind == SecretsManager && (stars != 1 || atEnd != 1):
		bad("is not the beginning of secret names: write it as in prod/payments/*, with one * at the end")
	case kind == SecretsManager && s.Prefix == "" && len(s.Tags) == 0:
		bad("selects every secret of the account: write the beginning of the names before the *, or set tags")
	case kind == SecretsManager && strings.HasPrefix(s.Prefix, "!"):
		bad("begins with !, which Secrets Manager takes for a negation: name each secret")
	}
	return s
}

// checkSelection refuses the fields that are for one object only.
func (e *entry) checkSelection(kind Type, r *report) {
	for _, f := range []struct {
		name string
		s    scalar
	}{{"objectVersion", e.version}, {"objectVersionLabel", e.label}} {
		if f.s.text != "" {
			r.fault(e.field+"."+f.name, f.s.at, "cannot be combined with a selection, which has the current versions: remove it, or name each object")
		}
	}
	if e.tags != nil && kind == SSMParameter {
		r.fault(e.tags.field, e.tags.at, "are for secrets: Parameter Store selects by path only")
	}
	if len(e.jmesPath) > 0 {
		r.fault(e.field+".jmesPath", e.jmesPath[0].at, "cannot be combined with a selection: name each object")
	}
	if e.failover != nil {
		r.fault(e.failover.field, e.failover.at, "cannot be combined with a selection, which is the same in both regions: remove it, or name each object")
	}
}

func parseMax(field string, s scalar, r *report) int {
	if s.text == "" {
		return defaultMax
	}
	n, err := strconv.Atoi(s.text)
	if err != nil || n < 1 || n > MaxObjects || strconv.Itoa(n) != s.text {
		r.fault(field+".maxObjects", s.at, "%s is not a number from 1 to %d", fault.Quote(s.text), MaxObjects)
		return defaultMax
	}
	return n
}

// Combined reports whether the files of the object hold all members of its selection together.
func (o Object) Combined() bool {
	return o.Selection != nil && !o.Files[0].Pattern
}
