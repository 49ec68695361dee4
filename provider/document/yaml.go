package document

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// writeYAML writes a mapping. Strings are in double quotes, so that readers of YAML 1.1 and of YAML 1.2 both
// take yes, 1e3, ~ and dates as strings. Numbers and booleans are plain, and lists and objects are in the flow style.
func (p Pairs) writeYAML(w io.Writer) error {
	if len(p) == 0 {
		_, err := io.WriteString(w, "{}\n")
		return err
	}
	document := &yaml.Node{Kind: yaml.MappingNode}
	for _, pair := range p {
		value, err := pair.node()
		if err != nil {
			return err
		}
		document.Content = append(document.Content, keyNode(pair.Key), value)
	}
	encoder := yaml.NewEncoder(w)
	if err := encoder.Encode(document); err != nil {
		return fmt.Errorf("document: %w", err)
	}
	return encoder.Close()
}

func (p Pair) node() (*yaml.Node, error) {
	switch p.kind {
	case text:
		return stringNode(string(p.Value)), nil
	case null:
		return plainNode("null"), nil
	case number:
		return plainNode(string(p.Value)), nil
	}
	decoder := json.NewDecoder(bytes.NewReader(p.Value))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		return nil, &Error{Keys: []string{p.Key}, Reason: "has a value that cannot be read"} // cannot happen: Parse wrote it
	}
	return nodeOf(v), nil
}

func nodeOf(v any) *yaml.Node {
	switch v := v.(type) {
	case string:
		return stringNode(v)
	case json.Number:
		return plainNode(v.String())
	case bool:
		return plainNode(fmt.Sprint(v))
	case []any:
		list := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
		for _, element := range v {
			list.Content = append(list.Content, nodeOf(element))
		}
		return list
	case map[string]any:
		mapping := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			mapping.Content = append(mapping.Content, stringNode(key), nodeOf(v[key]))
		}
		return mapping
	default:
		return plainNode("null")
	}
}

func stringNode(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: s}
}

func plainNode(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: s} }

// plainKeyRE matches keys that are strings in every version of YAML, if they are not one of yamlWords.
var plainKeyRE = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,99}$`)

// yamlWords are booleans and nulls of YAML 1.1, in lower case.
var yamlWords = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null"}

func keyNode(key string) *yaml.Node {
	node := stringNode(key)
	if plainKeyRE.MatchString(key) && !slices.Contains(yamlWords, strings.ToLower(key)) {
		node.Style = 0
	}
	return node
}
