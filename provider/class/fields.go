package class

import (
	"go.yaml.in/yaml/v3"

	"secrets-provider-aws/provider/document"
)

// fieldSpec describes one field of the language. The parser, the JSON schema and the tests of the reference share it.
type fieldSpec struct {
	name     string
	meaning  string   // one sentence, for editors
	required bool     // in every mapping
	values   []string // the only values; nil for others
	pattern  string   // a regular expression of the texts; empty for any
	max      int      // of a number from 1; 0 if it is no number
}

// fieldOf is a field of a mapping that decodes to T: a scalar, or another node.
type fieldOf[T any] struct {
	fieldSpec
	scalar func(*T) *scalar
	decode func(into *T, field string, node *yaml.Node, r *report)
}

func namesOf[T any](table []fieldOf[T]) []string {
	names := make([]string, len(table))
	for i, f := range table {
		names[i] = f.name
	}
	return names
}

// targetOf is where the field goes: a scalar of into, or a function. Both are nil for an unknown field.
func targetOf[T any](table []fieldOf[T], name string, into *T) (*scalar, func(*T, string, *yaml.Node, *report)) {
	for _, f := range table {
		switch {
		case f.name != name:
		case f.scalar != nil:
			return f.scalar(into), nil
		default:
			return nil, f.decode
		}
	}
	return nil, nil
}

// paramFields are the parameters of a SecretProviderClass.
var paramFields = []fieldSpec{
	{name: paramObjects, meaning: "What to mount: a YAML or JSON list of objects.", required: true},
	{name: paramRegion, meaning: "AWS region to read from. Default: that of the provider, then that of the node.", pattern: regionPattern},
	{name: paramPathTranslation, meaning: "The character that replaces / in file names, _ by default. False makes directories.", pattern: "^(.|[Ff][Aa][Ll][Ss][Ee])?$"},
	{name: paramRoleARN, meaning: "IAM role to assume. Default: the annotation of the pod's ServiceAccount.", pattern: rolePattern},
	{name: paramRefreshInterval, meaning: "Maximum age of a value while the pod runs, 1s to 24h.", pattern: `^([0-9.]+(ns|us|µs|μs|ms|s|m|h))*$`},
	{name: paramPodIdentity, meaning: "true for EKS Pod Identity.", values: []string{"", "1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"}},
	{name: paramAddressType, meaning: "Address of the Pod Identity agent: ipv4, ipv6 or auto."},
	{name: paramAssumeRoleARN, meaning: "Role that the pod's own role assumes. It reads the objects.", pattern: rolePattern},
	{name: paramExternalID, meaning: "External id for assumeRoleArn.", pattern: `^([A-Za-z0-9_+=,.@:/-]{2,})?$`},
	{name: paramFailoverRegion, meaning: "Second region, read while the first one does not respond.", pattern: regionPattern},
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
	patternPermission = "^(0[0-7]{3})?$"
)

// objectFields are the fields of an object.
var objectFields = []fieldOf[entry]{
	{fieldSpec: fieldSpec{name: "objectName", meaning: "Name or ARN of the secret or parameter. A * at the end selects many: prod/* by the beginning of the name, /prod/* and /prod/** by path.", required: true},
		scalar: func(e *entry) *scalar { return &e.name }},
	{fieldSpec: fieldSpec{name: "objectType", meaning: "AWS service. Optional for an ARN.", values: []string{string(SecretsManager), string(SSMParameter)}},
		scalar: func(e *entry) *scalar { return &e.kind }},
	{fieldSpec: fieldSpec{name: "objectAlias", meaning: "File name. Default: objectName. With format: files, and for a selection, a pattern with one *."},
		scalar: func(e *entry) *scalar { return &e.alias }},
	{fieldSpec: fieldSpec{name: "objectVersion", meaning: "Version id of a secret, version number of a parameter. Default: the current one."},
		scalar: func(e *entry) *scalar { return &e.version }},
	{fieldSpec: fieldSpec{name: "objectVersionLabel", meaning: "Staging label of a secret, label of a parameter."},
		scalar: func(e *entry) *scalar { return &e.label }},
	{fieldSpec: fieldSpec{name: "filePermission", meaning: meaningPermission, pattern: patternPermission},
		scalar: func(e *entry) *scalar { return &e.permission }},
	{fieldSpec: fieldSpec{name: "format", meaning: meaningFormat, values: formats},
		scalar: func(e *entry) *scalar { return &e.format }},
	{fieldSpec: fieldSpec{name: "objectEncoding", meaning: meaningEncoding, values: encodings},
		scalar: func(e *entry) *scalar { return &e.encoding }},
	{fieldSpec: fieldSpec{name: "optional", meaning: "true: no file, and no error, while the object does not exist.", values: booleans},
		scalar: func(e *entry) *scalar { return &e.optional }},
	{fieldSpec: fieldSpec{name: "region", meaning: "AWS region of this object. Not together with failoverRegion.", pattern: regionPattern},
		scalar: func(e *entry) *scalar { return &e.region }},
	{fieldSpec: fieldSpec{name: "maxObjects", meaning: "Most objects that a selection may find.", max: MaxObjects},
		scalar: func(e *entry) *scalar { return &e.maxObjects }},
	{fieldSpec: fieldSpec{name: "tags", meaning: "Tags that each selected secret has, all of them."},
		decode: func(e *entry, field string, node *yaml.Node, r *report) { e.tags = decodeTags(field, node, r) }},
	{fieldSpec: fieldSpec{name: "jmesPath", meaning: "Parts of a JSON value, each with its own file."},
		decode: func(e *entry, field string, node *yaml.Node, r *report) { e.jmesPath = decodeJMESPath(field, node, r) }},
	{fieldSpec: fieldSpec{name: "failoverObject", meaning: "The object to read in the failover region."},
		decode: func(e *entry, field string, node *yaml.Node, r *report) { e.failover = decodeFailover(field, node, r) }},
}

// jmesPathFields are the fields of an entry of jmesPath.
var jmesPathFields = []fieldOf[jmesEntry]{
	{fieldSpec: fieldSpec{name: "path", meaning: "JMESPath expression.", required: true},
		scalar: func(j *jmesEntry) *scalar { return &j.path }},
	{fieldSpec: fieldSpec{name: "objectAlias", meaning: "File name. With format: files a pattern with one *, and optional."},
		scalar: func(j *jmesEntry) *scalar { return &j.alias }},
	{fieldSpec: fieldSpec{name: "filePermission", meaning: meaningPermission, pattern: patternPermission},
		scalar: func(j *jmesEntry) *scalar { return &j.permission }},
	{fieldSpec: fieldSpec{name: "format", meaning: meaningFormat, values: formats},
		scalar: func(j *jmesEntry) *scalar { return &j.format }},
	{fieldSpec: fieldSpec{name: "objectEncoding", meaning: meaningEncoding, values: encodings},
		scalar: func(j *jmesEntry) *scalar { return &j.encoding }},
	{fieldSpec: fieldSpec{name: "optional", meaning: "true: no file, and no error, while the expression selects nothing.", values: booleans},
		scalar: func(j *jmesEntry) *scalar { return &j.optional }},
}

// failoverFields are the fields of failoverObject.
var failoverFields = []fieldOf[failoverEntry]{
	{fieldSpec: fieldSpec{name: "objectName", meaning: "Name or ARN in the failover region. Default: that of the object."},
		scalar: func(e *failoverEntry) *scalar { return &e.name }},
	{fieldSpec: fieldSpec{name: "objectVersion", meaning: "Must be that of the object."},
		scalar: func(e *failoverEntry) *scalar { return &e.version }},
	{fieldSpec: fieldSpec{name: "objectVersionLabel", meaning: "Label in the failover region. Default: that of the object."},
		scalar: func(e *failoverEntry) *scalar { return &e.label }},
}
