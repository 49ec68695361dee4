package check

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// field is one entry of a mapping.
type field struct{ key, value *yaml.Node }

// fields are the entries of a mapping, with aliases and merge keys (<<) resolved. They are nil for other nodes.
func fields(node *yaml.Node) []field {
	left := maxMerged
	return mergedFields(node, &left)
}

// maxMerged limits the mappings that one mapping merges, since merge keys can refer to each other in a loop.
const maxMerged = 100

func mergedFields(node *yaml.Node, left *int) []field {
	node = follow(node)
	if *left--; *left < 0 || node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	list := make([]field, 0, len(node.Content)/2)
	var merged []field
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := follow(node.Content[i]), follow(node.Content[i+1])
		switch {
		case key.Tag != "!!merge":
			list = append(list, field{key, value})
		case value.Kind == yaml.SequenceNode:
			for _, v := range value.Content {
				merged = append(merged, mergedFields(v, left)...)
			}
		default:
			merged = append(merged, mergedFields(value, left)...)
		}
	}
	if merged == nil {
		return list
	}
	taken := map[string]bool{}
	for _, f := range list {
		taken[f.key.Value] = true
	}
	for _, f := range merged {
		if !taken[f.key.Value] {
			taken[f.key.Value] = true
			list = append(list, f)
		}
	}
	return list
}

func follow(node *yaml.Node) *yaml.Node {
	if node != nil && node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// get is the field at a path of names below node, zero for none.
func get(node *yaml.Node, path ...string) field {
	f := field{value: node}
	for _, name := range path {
		list := fields(f.value)
		f = field{}
		for _, candidate := range list {
			if candidate.key.Value == name {
				f = candidate
			}
		}
	}
	return f
}

// items are the elements of a list, nil for other nodes.
func items(node *yaml.Node) []*yaml.Node {
	node = follow(node)
	if node == nil || node.Kind != yaml.SequenceNode {
		return nil
	}
	list := make([]*yaml.Node, len(node.Content))
	for i, item := range node.Content {
		list[i] = follow(item)
	}
	return list
}

// text is a scalar's text, empty for other nodes.
func text(node *yaml.Node) string {
	if node == nil || node.Kind != yaml.ScalarNode || node.Tag == "!!null" {
		return ""
	}
	return node.Value
}

// textAt is the text at a path below node.
func textAt(node *yaml.Node, path ...string) string { return text(get(node, path...).value) }

// notString names the type of a node that the API server does not accept as a string, and is empty for a string.
// kubectl reads YAML 1.1, in which yes and on are booleans too.
func notString(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case node.Kind == yaml.MappingNode:
		return "a mapping"
	case node.Tag == "!!null":
		return "empty (null)"
	case node.Tag == "!!bool", node.Style == 0 && isOldBoolean(node.Value):
		return "a boolean"
	case node.Tag == "!!int", node.Tag == "!!float":
		return "a number"
	default:
		return ""
	}
}

func isOldBoolean(s string) bool {
	switch strings.ToLower(s) {
	case "yes", "no", "on", "off":
		return true
	default:
		return false
	}
}
