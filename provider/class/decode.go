package class

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"secrets-provider-aws/internal/fault"
)

// Limits of one volume, far above real use, so that no pod author can overload the node.
// A short text with YAML aliases can expand to a large one, so each use of an alias counts.
const (
	// MaxText is the limit of the text of `objects`, in bytes. Parsing needs about 130 bytes of memory and 0.2 µs for each
	// of them. 1,000 files with every field need less.
	MaxText = 256 << 10
	// MaxFiles is the most files of one volume, with those of patterns.
	MaxFiles = 1000
	// MaxObjects is the most objects of one volume, with those that selections find.
	MaxObjects = 500

	maxScalar      = 8 << 10   // bytes of one field, more than any that is valid
	maxJMESPath    = 500       // for each object
	maxFields      = 50        // of one mapping, unknown ones included
	maxExpressions = 256 << 10 // bytes of all jmesPath expressions together
)

// entry is one undecoded element of `objects`.
type entry struct {
	name, kind, alias, version, label, permission  scalar
	format, encoding, optional, region, maxObjects scalar
	tags                                           *tagsEntry // nil for none
	jmesPath                                       []jmesEntry
	failover                                       *failoverEntry // nil for none
	misspelled                                     string         // the unknown field that looks like objectName, if that is missing

	field string
	at    position
}

// jmesEntry is one undecoded element of an entry's `jmesPath`.
type jmesEntry struct {
	path, alias, permission, format, encoding, optional scalar

	field string
	at    position
}

// scalar is a YAML scalar as written, without YAML's types: `y` is not a boolean, and 0600 is not a number.
type scalar struct {
	text string
	at   position
}

// parseObjects parses the parameter `objects`: a YAML or JSON list of mappings. It works on YAML nodes, because these
// keep each scalar as written, know their lines, and share the target of an alias instead of copying it.
func parseObjects(text string, translate translation, r *report) []Object {
	list := listOfObjects(text, r)
	if list == nil {
		return nil
	}
	if len(list) > MaxObjects {
		r.fault(paramObjects, position{}, "lists %d objects; one volume takes at most %d", len(list), MaxObjects)
		return nil
	}
	objects := make([]Object, 0, len(list))
	files, expressions := 0, 0
	for i, node := range list {
		if r.full() {
			return nil
		}
		e, ok := decodeEntry(fmt.Sprintf("%s[%d]", paramObjects, i), node, r)
		if !ok {
			continue
		}
		files += 1 + len(e.jmesPath)
		for _, j := range e.jmesPath {
			expressions += len(j.path.text)
		}
		if files > MaxFiles || expressions > maxExpressions {
			r.fault(e.field, e.at, "exceeds one volume, which takes at most %d files and %d KiB of jmesPath expressions", MaxFiles, maxExpressions>>10)
			return nil
		}
		objects = append(objects, e.object(translate, r))
	}
	return objects
}

func listOfObjects(text string, r *report) []*yaml.Node {
	if len(text) > MaxText {
		r.fault(paramObjects, position{}, "is %d bytes long; one volume takes at most %d KiB: mount fewer objects in one volume", len(text), MaxText>>10)
		return nil
	}
	var document yaml.Node
	decoder := yaml.NewDecoder(strings.NewReader(text))
	err := decoder.Decode(&document)
	switch {
	case errors.Is(err, io.EOF):
		r.fault(paramObjects, position{}, "is missing or empty: list at least one object with objectName and objectType")
		return nil
	case err != nil:
		line, reason := fault.YAML(err)
		r.fault(paramObjects, position{line: line}, "is not valid YAML: %s", reason)
		return nil
	case !errors.Is(decoder.Decode(new(yaml.Node)), io.EOF):
		r.fault(paramObjects, position{}, "contains more than one YAML document: write one list")
		return nil
	}
	root := follow(document.Content[0])
	switch {
	case isNull(root), root.Kind == yaml.SequenceNode && len(root.Content) == 0:
		r.fault(paramObjects, at(root), "is empty: list at least one object with objectName and objectType")
		return nil
	case root.Kind != yaml.SequenceNode:
		r.fault(paramObjects, at(root), "%s", notAList(root))
		return nil
	}
	return root.Content
}

func decodeEntry(field string, node *yaml.Node, r *report) (entry, bool) {
	e := entry{field: field, at: at(node)}
	ok := decodeMapping(field, node, objectFields, &e, r)
	if ok && e.name.text == "" {
		e.misspelled = likeName(node)
	}
	return e, ok
}

// likeName finds a field that looks like a typo of objectName, or returns "". Without a name the mount fails, so
// the fault must show the typo; the log's warning about an unknown field is not enough.
func likeName(node *yaml.Node) string {
	fields := follow(node).Content
	for i := 0; i+1 < len(fields); i += 2 {
		field := follow(fields[i]).Value
		if !strings.EqualFold(field, "objectType") && editDistance(strings.ToLower(field), "objectname", 4) < 4 && !strings.EqualFold(field, "objectName") {
			return field
		}
	}
	return ""
}

func decodeJMESPath(field string, node *yaml.Node, r *report) []jmesEntry {
	switch {
	case isNull(node):
		return nil
	case node.Kind != yaml.SequenceNode:
		r.fault(field, at(node), "is %s, not a list of path and objectAlias", kindName(node))
		return nil
	case len(node.Content) > maxJMESPath:
		r.fault(field, at(node), "lists %d entries; one object takes at most %d", len(node.Content), maxJMESPath)
		return nil
	}
	entries := make([]jmesEntry, 0, len(node.Content))
	for i, element := range node.Content {
		if r.full() {
			break
		}
		j := jmesEntry{field: fmt.Sprintf("%s[%d]", field, i), at: at(element)}
		if decodeMapping(j.field, element, jmesPathFields, &j, r) {
			entries = append(entries, j)
		}
	}
	return entries
}

// decodeMapping sets the fields of table in into. It accepts a field name in any case, like the JSON decoder of AWS's
// provider, but adds a warning.
func decodeMapping[T any](field string, node *yaml.Node, table []fieldOf[T], into *T, r *report) bool {
	node = follow(node)
	if node.Kind != yaml.MappingNode {
		r.fault(field, at(node), "%s", notAMapping(node))
		return false
	}
	if fields := len(node.Content) / 2; fields > maxFields {
		r.fault(field, at(node), "has %d fields; at most %d are read", fields, maxFields)
		return false
	}
	known := namesOf(table)
	slices.Sort(known)
	seen, fits := map[string]bool{}, true
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := follow(node.Content[i]), follow(node.Content[i+1])
		name := key.Value
		if i := slices.IndexFunc(known, func(k string) bool { return strings.EqualFold(k, name) }); i >= 0 && name != known[i] {
			r.warn(Warning{Harmless: true, Fault: Fault{Field: field, Line: key.Line, Column: key.Column, Message: fmt.Sprintf("%s was read as %s", fault.Quote(name), known[i])}})
			name = known[i]
		}
		target, decode := targetOf(table, name, into)
		switch {
		case len(name) > maxScalar:
			fits = tooLong(field, key, r)
			continue
		case seen[name]:
			r.fault(field, at(key), "has the field %s twice", fault.Quote(name))
		case key.Tag == "!!merge":
			r.fault(field, at(key), "uses a YAML merge key (<<): write its fields out")
		case target != nil && len(value.Value) > maxScalar && name != "path": // an expression has a bound of its own
			fits = tooLong(field+"."+name, value, r)
		case target != nil:
			*target = decodeScalar(field+"."+name, value, r)
		case decode != nil:
			decode(into, field+"."+name, value, r)
		case r.warnedEnough(): // guessing what was meant takes time
		default:
			r.odd(field, at(key), "%s %s", fault.Quote(name), unknownName("field", name, foreignFields, known))
		}
		seen[name] = true
	}
	return fits
}

// tooLong refuses a name or a value that no check after this should have to read, as aliases repeat it for free.
func tooLong(field string, node *yaml.Node, r *report) (fits bool) {
	r.fault(field, at(node), "is %d bytes long; one name or value takes at most %d", len(node.Value), maxScalar)
	return false
}

func decodeScalar(field string, node *yaml.Node, r *report) scalar {
	switch {
	case isNull(node):
		return scalar{at: at(node)}
	case node.Kind != yaml.ScalarNode:
		r.fault(field, at(node), "is %s, not a string", kindName(node))
		return scalar{at: at(node)}
	}
	return scalar{text: node.Value, at: at(node)}
}

func follow(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

func at(node *yaml.Node) position { return position{line: node.Line, column: node.Column} }

func isNull(node *yaml.Node) bool { return node.Kind == yaml.ScalarNode && node.Tag == "!!null" }

func kindName(node *yaml.Node) string {
	switch {
	case isNull(node):
		return "empty (null)"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case node.Kind == yaml.MappingNode:
		return "a mapping"
	default:
		return "a string"
	}
}
