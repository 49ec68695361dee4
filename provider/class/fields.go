package class

import (
	"go.yaml.in/yaml/v3"

	"secrets-provider-aws/provider/document"
)

// Field describes one field of the language. The parser, the JSON schema and the tests of the reference share it.
type Field struct {
	Name     string
	Meaning  string   // one sentence, for editors
	Required bool     // in every mapping
	Values   []string // the only values; nil for others
	Pattern  string   // a regular expression of the texts; empty for any
	Max      int      // of a number from 1; 0 if it is no number
}

// fieldOf is a field of a mapping that decodes to T: a scalar, or another node.
type fieldOf[T any] struct {
	Field
	scalar func(*T) *scalar
	decode func(into *T, field string, node *yaml.Node, r *report)
}

func namesOf[T any](table []fieldOf[T]) []string {
	names := make([]string, len(table))
	for i, f := range table {
		names[i] = f.Name
	}
	return names
}

// targetOf is where the field goes: a scalar of into, or a function. Both are nil for an unknown field.
func targetOf[T any](table []fieldOf[T], name string, into *T) (*scalar, func(*T, string, *yaml.Node, *report)) {
	for _, f := range table {
		switch {
		case f.Name != name:
		case f.scalar != nil:
			return f.scalar(into), nil
		default:
			return nil, f.decode
		}
	}
	return nil, nil
}

// paramFields are the parameters of a SecretProviderClass.
var paramFields = []Field{
	{Name: paramObjects, Meaning: "What to mount: a YAML or JSON list of objects.", Required: true},
	{Name: paramRegion, Meaning: "AWS region to read from. Default: that of the provider, then that of the node.", Pattern: regionPattern},
	{Name: paramPathTranslation, Meaning: "The character that replaces / in file names, _ by default. False makes directories.", Pattern: "^(.|[Ff][Aa][Ll][Ss][Ee])?$"},
	{Name: paramRoleARN, Meaning: "IAM role to assume. Default: the annotation of the pod's ServiceAccount.", Pattern: rolePattern},
	{Name: paramRefreshInterval, Meaning: "Maximum age of a value while the pod runs, 1s to 24h.", Pattern: `^([0-9.]+(ns|us|µs|μs|ms|s|m|h))*$`},
	{Name: paramPodIdentity, Meaning: "true for EKS Pod Identity.", Values: []string{"", "1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"}},
	{Name: paramAddressType, Meaning: "Address of the Pod Identity agent: ipv4, ipv6 or auto."},
	{Name: paramAssumeRoleARN, Meaning: "Role that the pod's own role assumes. It reads the objects.", Pattern: rolePattern},
	{Name: paramExternalID, Meaning: "External id for assumeRoleArn.", Pattern: `^([A-Za-z0-9_+=,.@:/-]{2,1224})?$`},
	{Name: paramFailoverRegion, Meaning: "Second region, read while the first one does not respond.", Pattern: regionPattern},
}

// Patterns for editors. The parser has exact checks.
const (
	regionPattern = `^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)?$`
	rolePattern   = `^(arn:[a-z0-9-]+:iam::[0-9]{12}:role/.+)?$`
)

// Words of the language.
var (
	formats   = append([]string{rawWord}, wordsOf(document.Formats())...)
	encodings = wordsOf(document.Encodings())
	booleans  = []string{"true", "false"}
)

// rawWord is how a class writes document.Raw.
const rawWord = "raw"

func wordsOf[W ~string](words []W) []string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = string(w)
	}
	return list
}

// The fields that objects and the entries of jmesPath have in common.
const (
	meaningPermission = "Four octal digits, 0000 to 0777."
	meaningFormat     = "What the file has: the value as it is (raw), or the keys of its JSON object as files or as one env, properties, yaml or json document."
	meaningEncoding   = "Encoding of the value in AWS: the file has the decoded bytes."
	patternPermission = "^([0-7]{3,4})?$"
)

// objectFields are the fields of an object.
var objectFields = []fieldOf[entry]{
	{Field: Field{Name: "objectName", Meaning: "Name or ARN of the secret or parameter. A * at the end selects many: prod/* by the beginning of the name, /prod/* and /prod/** by path.", Required: true},
		scalar: func(e *entry) *scalar { return &e.name }},
	{Field: Field{Name: "objectType", Meaning: "AWS service. Optional for an ARN.", Values: []string{string(SecretsManager), string(SSMParameter)}},
		scalar: func(e *entry) *scalar { return &e.kind }},
	{Field: Field{Name: "objectAlias", Meaning: "File name. Default: objectName. With format: files, and for a selection, a pattern with one *."},
		scalar: func(e *entry) *scalar { return &e.alias }},
	{Field: Field{Name: "objectVersion", Meaning: "Version id of a secret, version number of a parameter. Default: the current one."},
		scalar: func(e *entry) *scalar { return &e.version }},
	{Field: Field{Name: "objectVersionLabel", Meaning: "Staging label of a secret, label of a parameter."},
		scalar: func(e *entry) *scalar { return &e.label }},
	{Field: Field{Name: "filePermission", Meaning: meaningPermission, Pattern: patternPermission},
		scalar: func(e *entry) *scalar { return &e.permission }},
	{Field: Field{Name: "format", Meaning: meaningFormat, Values: formats},
		scalar: func(e *entry) *scalar { return &e.format }},
	{Field: Field{Name: "objectEncoding", Meaning: meaningEncoding, Values: encodings},
		scalar: func(e *entry) *scalar { return &e.encoding }},
	{Field: Field{Name: "optional", Meaning: "true: no file, and no error, while the object does not exist.", Values: booleans},
		scalar: func(e *entry) *scalar { return &e.optional }},
	{Field: Field{Name: "region", Meaning: "AWS region of this object. Not together with failoverRegion.", Pattern: regionPattern},
		scalar: func(e *entry) *scalar { return &e.region }},
	{Field: Field{Name: "maxObjects", Meaning: "Most objects that a selection may find.", Max: maxObjects},
		scalar: func(e *entry) *scalar { return &e.maxObjects }},
	{Field: Field{Name: "tags", Meaning: "Tags that each selected secret has, all of them."},
		decode: func(e *entry, field string, node *yaml.Node, r *report) { e.tags = decodeTags(field, node, r) }},
	{Field: Field{Name: "jmesPath", Meaning: "Parts of a JSON value, each with its own file."},
		decode: func(e *entry, field string, node *yaml.Node, r *report) { e.jmesPath = decodeJMESPath(field, node, r) }},
	{Field: Field{Name: "failoverObject", Meaning: "The object to read in the failover region."},
		decode: func(e *entry, field string, node *yaml.Node, r *report) { e.failover = decodeFailover(field, node, r) }},
}

// jmesPathFields are the fields of an entry of jmesPath.
var jmesPathFields = []fieldOf[jmesEntry]{
	{Field: Field{Name: "path", Meaning: "JMESPath expression.", Required: true},
		scalar: func(j *jmesEntry) *scalar { return &j.path }},
	{Field: Field{Name: "objectAlias", Meaning: "File name. With format: files a pattern with one *, and optional."},
		scalar: func(j *jmesEntry) *scalar { return &j.alias }},
	{Field: Field{Name: "filePermission", Meaning: meaningPermission, Pattern: patternPermission},
		scalar: func(j *jmesEntry) *scalar { return &j.permission }},
	{Field: Field{Name: "format", Meaning: meaningFormat, Values: formats},
		scalar: func(j *jmesEntry) *scalar { return &j.format }},
	{Field: Field{Name: "objectEncoding", Meaning: meaningEncoding, Values: encodings},
		scalar: func(j *jmesEntry) *scalar { return &j.encoding }},
	{Field: Field{Name: "optional", Meaning: "true: no file, and no error, while the expression selects nothing.", Values: booleans},
		scalar: func(j *jmesEntry) *scalar { return &j.optional }},
}

// failoverFields are the fields of failoverObject.
var failoverFields = []fieldOf[failoverEntry]{
	{Field: Field{Name: "objectName", Meaning: "Name or ARN in the failover region. Default: that of the object."},
		scalar: func(e *failoverEntry) *scalar { return &e.name }},
	{Field: Field{Name: "objectVersion", Meaning: "Must be that of the object."},
		scalar: func(e *failoverEntry) *scalar { return &e.version }},
	{Field: Field{Name: "objectVersionLabel", Meaning: "Label in the failover region. Default: that of the object."},
		scalar: func(e *failoverEntry) *scalar { return &e.label }},
}
