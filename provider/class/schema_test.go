package class

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/provider/document"
)

var update = flag.Bool("update", false, "write docs/schema/secretproviderclass.json anew")

const schemaFile = "../../docs/schema/secretproviderclass.json"

// The JSON schema in docs is that of the fields that Parse reads.
func TestL1_SchemaIsOfTheTable(t *testing.T) {
	var want bytes.Buffer
	encoder := json.NewEncoder(&want)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(classSchema()); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(schemaFile, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.String(), string(got)); diff != "" {
		t.Errorf("run go test ./provider/class -run Schema -update: the schema differs (-want +got):\n%s", diff)
	}
}

type schema = map[string]any

// classSchema is the schema of a SecretProviderClass of provider aws. Parameters are texts in Kubernetes, so that of `objects`
// describes what its text holds with contentSchema.
func classSchema() schema {
	parameters := schema{}
	for _, p := range paramFields {
		s := schema{"description": p.meaning, "type": "string"}
		if p.pattern != "" {
			s["pattern"] = p.pattern
		}
		if p.values != nil {
			s = schema{"description": p.meaning, "enum": p.values}
		}
		parameters[p.name] = s
	}
	parameters[paramObjects] = schema{
		"description": paramFields[0].meaning, "type": "string", "minLength": 1, "maxLength": MaxText,
		"contentMediaType": "application/yaml", "contentSchema": ref("objects"),
	}
	strings := schema{"type": "object", "additionalProperties": schema{"type": "string"}}
	return schema{
		"$schema":  "https://json-schema.org/draft/2020-12/schema",
		"title":    "SecretProviderClass of provider aws",
		"type":     "object",
		"required": []string{"apiVersion", "kind", "metadata", "spec"},
		"properties": schema{
			"apiVersion": schema{"type": "string", "pattern": `^secrets-store\.csi\.x-k8s\.io/v1`},
			"kind":       schema{"const": "SecretProviderClass"},
			"metadata":   schema{"type": "object", "required": []string{"name"}},
			"spec": schema{
				"type": "object", "required": []string{"provider", "parameters"}, "additionalProperties": false,
				"properties": schema{
					"provider":   schema{"const": "aws"},
					"parameters": ref("parameters"),
					"secretObjects": schema{
						"description": "Kubernetes Secrets that the CSI driver makes of the files.", "type": "array",
						"items": schema{"type": "object", "properties": schema{
							"secretName": schema{"type": "string"}, "type": schema{"type": "string"}, "labels": strings, "annotations": strings,
							"data": schema{"type": "array", "items": schema{"type": "object", "properties": schema{"objectName": schema{"type": "string"}, "key": schema{"type": "string"}}}},
						}},
					},
				},
			},
		},
		"$defs": schema{
			"parameters":     schema{"type": "object", "required": []string{paramObjects}, "properties": parameters, "patternProperties": schema{"/": true}, "additionalProperties": false},
			"objects":        schema{"description": paramFields[0].meaning, "type": "array", "minItems": 1, "maxItems": MaxObjects, "items": ref("object")},
			"object":         objectSchema(),
			"jmesPath":       jmesPathSchema(),
			"failoverObject": mapping(failoverFields),
			"tags": schema{
				"type": []string{"object", "null"}, "maxProperties": maxTags, "propertyNames": schema{"minLength": 1, "maxLength": 128, "pattern": tagRE.String()},
				"additionalProperties": schema{"type": []string{"string", "number", "boolean"}, "maxLength": 256, "pattern": tagRE.String()},
			},
		},
	}
}

func ref(name string) schema { return schema{"$ref": "#/$defs/" + name} }

// mapping is the schema of a mapping with the fields of table, without the rules for their combinations.
func mapping[T any](table []fieldOf[T]) schema {
	properties, required := schema{}, []string{}
	for _, f := range table {
		properties[f.name] = f.schema()
		if f.required {
			required = append(required, f.name)
		}
	}
	return schema{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

// schema is that of one field. Parse takes every scalar as it is written, so a number or a boolean may stand for a text.
func (f fieldSpec) schema() schema {
	scalar := []string{"string", "number", "boolean", "null"}
	s := schema{"type": scalar}
	switch {
	case f.name == "jmesPath":
		s = schema{"type": []string{"array", "null"}, "maxItems": maxJMESPath, "items": ref(f.name)}
	case f.name == "failoverObject":
		s = schema{"anyOf": []schema{ref(f.name), {"type": "null"}}}
	case f.name == "tags":
		s = ref(f.name)
	case slices.Equal(f.values, booleans):
		s = schema{"type": []string{"boolean", "string", "null"}, "pattern": "^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])?$"}
	case f.values != nil:
		words := []any{"", nil}
		for _, w := range f.values {
			words = append(words, w)
		}
		s = schema{"enum": words}
	case f.max > 0:
		s = schema{"type": []string{"integer", "string", "null"}, "minimum": 1, "maximum": f.max, "pattern": "^([1-9][0-9]{0,2})?$"}
	case f.pattern == patternPermission: // 0400 without quotes is a number
		s = schema{"type": []string{"string", "integer", "null"}, "pattern": f.pattern, "minimum": 0, "maximum": 777}
	case f.required:
		s = schema{"type": scalar[:3], "minLength": 1, "maxLength": maxScalar}
	case f.pattern != "":
		s["pattern"] = f.pattern
	}
	s["description"] = f.meaning
	return s
}

const (
	oneStar = `^[^*]*\*[^*]*$`
	noStar  = `^[^*]*$`
)

// objectSchema is the schema of an object, with the rules for combinations of fields.
func objectSchema() schema {
	s := mapping(objectFields)
	selection := where("objectName", `\*`)
	parameter, secret := is("objectType", string(SSMParameter)), is("objectType", string(SecretsManager))
	s["allOf"] = []schema{
		when(schema{"not": where("objectName", "^arn:")}, set("objectType")),
		when(all(parameter, set("objectVersion")), unset("objectVersionLabel")),
		when(all(parameter, schema{"not": where("objectName", "^arn:")}), matching("objectName", "^[^:]*$")),
		when(schema{"properties": schema{"failoverObject": schema{"type": "object", "properties": schema{"objectName": schema{"minLength": 1, "type": "string"}}, "required": []string{"objectName"}}}, "required": []string{"failoverObject"}}, set("objectAlias")),
		// Selections.
		{"if": selection, "then": all(unset("objectVersion", "objectVersionLabel", "jmesPath", "failoverObject"), without("format", string(document.Files)), matching("objectName", `^[^*]*\*{1,2}$`), schema{"not": where("objectName", "^arn:")}),
			"else": unset("maxObjects", "tags")},
		when(all(selection, parameter), all(matching("objectName", `^/([^/*]+/)*\*{1,2}$`), unset("tags"))),
		when(all(selection, secret), matching("objectName", `^([^*!][^*]*)?\*$`)),
		when(all(secret, is("objectName", "*")), set("tags")),
		when(all(selection, schema{"not": oneFile()}, set("objectAlias")), matching("objectAlias", oneStar)),
		when(all(selection, oneFile()), all(set("objectAlias"), matching("objectAlias", `^[^*]*\*?[^*]*$`))),
		// Patterns.
		when(all(is("format", string(document.Files)), set("objectAlias")), matching("objectAlias", oneStar)),
		when(all(schema{"not": selection}, oneFile(), set("objectAlias")), matching("objectAlias", noStar)),
		// jmesPath selects from JSON, which an encoded value is not.
		when(all(set("objectEncoding"), raw()), unset("jmesPath")),
	}
	return s
}

// jmesPathSchema is the schema of an entry of jmesPath.
func jmesPathSchema() schema {
	s := mapping(jmesPathFields)
	s["properties"].(schema)["path"].(schema)["maxLength"] = 4096
	s["allOf"] = []schema{
		{"if": is("format", string(document.Files)), "then": when(set("objectAlias"), matching("objectAlias", oneStar)), "else": set("objectAlias")},
		when(all(oneFile(), set("objectAlias")), matching("objectAlias", noStar)),
	}
	return s
}

func when(condition, then schema) schema { return schema{"if": condition, "then": then} }

func all(of ...schema) schema { return schema{"allOf": of} }

// where is true for a text that matches. A scalar of another type is none.
func where(field, pattern string) schema {
	return schema{"properties": schema{field: schema{"type": "string", "pattern": pattern}}, "required": []string{field}}
}

// matching is true unless the field is a text that does not match.
func matching(field, pattern string) schema {
	return schema{"properties": schema{field: schema{"pattern": pattern}}}
}

// is is true for a field with exactly this value.
func is(field, value string) schema {
	return schema{"properties": schema{field: schema{"const": value}}, "required": []string{field}}
}

func without(field, value string) schema {
	return schema{"properties": schema{field: schema{"not": schema{"const": value}}}}
}

// nothing are the values that Parse takes as no value.
var nothing = []any{nil, "", []any{}, schema{}}

// set is true if the field has a value.
func set(field string) schema {
	return schema{"properties": schema{field: schema{"not": schema{"enum": nothing}}}, "required": []string{field}}
}

// unset is true if none of the fields has a value.
func unset(fields ...string) schema {
	properties := schema{}
	for _, f := range fields {
		properties[f] = schema{"enum": nothing}
	}
	return schema{"properties": properties}
}

// oneFile is true if the format writes one document.
func oneFile() schema {
	words := []any{}
	for _, f := range document.Formats() {
		if f.OneFile() {
			words = append(words, string(f))
		}
	}
	return schema{"properties": schema{"format": schema{"enum": words}}, "required": []string{"format"}}
}

// raw is true if the format is raw.
func raw() schema {
	return schema{"properties": schema{"format": schema{"enum": []any{nil, "", rawWord}}}}
}
