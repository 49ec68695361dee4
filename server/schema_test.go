package server_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"secrets-provider-aws/docs"
	"secrets-provider-aws/provider/class"
	"secrets-provider-aws/test/rig"
)

// beyondSchema lists the mistakes that no schema can express: they compare two fields, objects or regions, or are in an
// expression.
var beyondSchema = []string{
	"A file name that begins with two dots", "A file name that ends with a slash", "A file name that is the volume", "A file name that is too long",
	"A file name that leaves the volume", "A file where another needs a directory", "A jmesPath entry writes the file of another object",
	"One alias twice", "One secret twice", "Two names that become one file", "failoverObject has another version",
	"failoverObject has no version, but the object has one", "failoverObject's ARN is a parameter's", "failoverObject's ARN is in the primary region",
	"failoverObject without failoverRegion", "failoverRegion is the node's region", "failoverRegion is the primary region", "failoverRegion, an ARN and no failoverObject",
	"externalId without assumeRoleArn", "jmesPath that is nested too deep", "jmesPath with a dash and no quotes", "jmesPath with a syntax error",
	"jmesPath with an unknown function", "The ARN does not match objectType", "The ARN is in another region", "The ARN of another service", "usePodIdentity with roleArn",
	"A pattern that leaves the volume", "One object and one pattern twice", "region of an object and failoverRegion",
}

// The JSON schema of a class accepts every example and every class that Parse accepts without a warning. It refuses every
// mistake that a schema can express.
func TestL1_SchemaKnowsTheLanguage(t *testing.T) {
	validate := schemaOfClasses(t)
	t.Run("examples", func(t *testing.T) {
		files, err := filepath.Glob("../deployment/examples/*.yaml")
		if err != nil {
			t.Fatal(err)
		}
		texts := map[string]string{}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts[file] = string(text)
		}
		for _, page := range []string{"language.md", "migrate-from-external-secrets.md", "migrate-from-aws-provider.md"} {
			blocks, err := docs.Blocks(page, "yaml")
			if err != nil {
				t.Fatal(err)
			}
			texts[page] = strings.Join(blocks, "\n---\n")
		}
		classes := 0
		for file, text := range texts {
			for _, manifest := range documents(t, text) {
				if manifest["kind"] != "SecretProviderClass" {
					continue
				}
				classes++
				if err := validate(manifest); err != nil {
					t.Errorf("%s: %v", file, err)
				}
			}
		}
		if classes < 24 {
			t.Errorf("only %d classes", classes)
		}
	})
	t.Run("classes", func(t *testing.T) {
		accepted, refused := 0, 0
		for _, file := range classFiles(t) {
			var table []classRow
			decodeYAML(t, file, &table)
			for _, row := range table {
				parameters := map[string]string{"region": rig.Region, "objects": row.Objects}
				maps.Copy(parameters, row.Parameters)
				maps.DeleteFunc(parameters, func(_, v string) bool { return v == "" })
				parsed, err := class.Parse(parameters, rig.Region)
				switch invalid := validate(manifestWith(parameters)); {
				case err == nil && len(parsed.Warnings) == 0 && invalid != nil:
					t.Errorf("%s: %s: %v", file, row.Class, invalid)
				case err == nil:
					accepted++
				case invalid != nil:
					refused++
				}
			}
		}
		if accepted < 80 || refused < 15 {
			t.Errorf("the schema accepts %d valid classes and refuses %d others", accepted, refused)
		}
	})
	t.Run("mistakes", func(t *testing.T) {
		var missed []string
		golden, err := os.ReadFile(goldenFile)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []chapter{objectMistakes(), fileMistakes(), languageMistakes(), parameterMistakes()} {
			for _, m := range c.mistakes {
				title := m.title
				if m.same != "" {
					title = m.same
				}
				if strings.Contains(string(golden), "\n### "+title+"\nInvalidArgument: ") && validate(manifestWith(m.parametersOfClass())) == nil {
					missed = append(missed, m.title)
				}
			}
		}
		slices.Sort(missed)
		want := slices.Sorted(slices.Values(beyondSchema))
		if diff := gocmp.Diff(want, missed); diff != "" {
			t.Errorf("mistakes that the schema does not find (-want +got):\n%s", diff)
		}
	})
}

// manifestWith is a class with these parameters.
func manifestWith(parameters map[string]string) map[string]any {
	of := map[string]any{}
	for name, value := range parameters {
		of[name] = value
	}
	return map[string]any{
		"apiVersion": "secrets-store.csi.x-k8s.io/v1", "kind": "SecretProviderClass", "metadata": map[string]any{"name": "payment-secrets"},
		"spec": map[string]any{"provider": "aws", "parameters": of},
	}
}

// schemaOfClasses is the schema in docs, which also reads the text of the parameter objects.
func schemaOfClasses(t *testing.T) func(any) error {
	t.Helper()
	text, err := os.ReadFile("../docs/schema/secretproviderclass.json")
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertContent()
	compiler.RegisterContentMediaType(&jsonschema.MediaType{
		Name:          "application/yaml",
		Validate:      func(text []byte) error { _, err := fromYAML(text); return err },
		UnmarshalJSON: fromYAML,
	})
	if err := compiler.AddResource("class.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("class.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate
}

// documents decodes the YAML documents of a text.
func documents(t *testing.T, text string) []map[string]any {
	t.Helper()
	var all []map[string]any
	decoder := yaml.NewDecoder(strings.NewReader(text))
	for {
		var node yaml.Node
		if err := decoder.Decode(&node); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if manifest, ok := ofYAML(&node).(map[string]any); ok {
			all = append(all, manifest)
		}
	}
}

// fromYAML decodes one YAML document as an editor does.
func fromYAML(text []byte) (any, error) {
	var node yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&node); err != nil {
		return nil, err
	}
	if decoder.Decode(new(yaml.Node)) == nil {
		return nil, errors.New("more than one document")
	}
	if err := node.Decode(new(any)); err != nil { // one field twice
		return nil, err
	}
	return ofYAML(&node), nil
}

// ofYAML is a node in the types of JSON. A date is a string.
func ofYAML(node *yaml.Node) any {
	switch node.Kind {
	case yaml.DocumentNode:
		return ofYAML(node.Content[0])
	case yaml.AliasNode:
		return ofYAML(node.Alias)
	case yaml.SequenceNode:
		list := []any{}
		for _, element := range node.Content {
			list = append(list, ofYAML(element))
		}
		return list
	case yaml.MappingNode:
		mapping := map[string]any{}
		for i := 0; i+1 < len(node.Content); i += 2 {
			mapping[node.Content[i].Value] = ofYAML(node.Content[i+1])
		}
		return mapping
	}
	var v any
	if node.Tag == "!!str" || node.Tag == "!!timestamp" || node.Decode(&v) != nil {
		return node.Value
	}
	text, err := json.Marshal(v)
	if err != nil {
		return node.Value
	}
	number, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return node.Value
	}
	return number
}
