package server_test

import (
	"fmt"
	"strings"

	"secrets-provider-aws/test/rig"
)

func secretNamed(name string) string {
	return fmt.Sprintf("- {objectName: %q, objectType: secretsmanager}", name)
}

// with adds fields to a valid object.
func with(fields string) string {
	return "- {objectName: prod/db, objectType: secretsmanager, " + fields + "}"
}

// withFailover sets a failover region.
var withFailover = map[string]string{"failoverRegion": failoverRegion}

func objectMistakes() chapter {
	const arn = "arn:aws:secretsmanager:ap-south-1:123456789012:secret:prod/db-AbCdEf"
	return chapter{"SecretProviderClass: objects", []mistake{
		{title: "No parameter objects", attributes: func(a map[string]string) { delete(a, "objects") }},
		{title: "objects is an empty list", objects: "[]"},
		{title: "objects is not YAML: a tab for indentation", objects: "- objectName: prod/db\n\tobjectType: secretsmanager"},
		{title: "objects is not YAML: a quote is not closed", objects: "- objectName: \"prod/db\n  objectType: secretsmanager\n"},
		{title: "objects is a mapping: the dash is missing", objects: "objectName: prod/db\nobjectType: secretsmanager"},
		{title: "objects is in the form of the Azure provider", objects: "array:\n  - |\n    objectName: db\n    objectType: secret"},
		{title: "An object is a text, as in the Azure provider", objects: "- |\n  objectName: db\n  objectType: secret"},
		{title: "objects is a string", objects: "prod/db"},
		{title: "objects is two YAML documents", objects: dbSecret + "---\n" + dbSecret},
		{title: "A dash with nothing after it", objects: dbSecret + "- \n"},
		{title: "A list of names instead of objects", objects: "- prod/db\n- prod/text"},
		{title: "An object without objectName", objects: "- objectType: secretsmanager"},
		{title: "objectName is misspelt", objects: "- {objectNam: prod/db, objectType: secretsmanager}"},
		{title: "An object without objectType", objects: "- objectName: prod/db"},
		{title: "objectType ssm", objects: "- {objectName: /prod/url, objectType: ssm}"},
		{title: "objectType in the wrong case", objects: "- {objectName: prod/db, objectType: SecretsManager}"},
		{title: "objectName is a list", objects: "- {objectName: [prod/db, prod/text], objectType: secretsmanager}"},
		{title: "One field twice", objects: "- {objectName: prod/db, objectName: prod/text, objectType: secretsmanager}"},
		{title: "A YAML merge key", objects: "- &base {objectName: prod/db, objectType: secretsmanager}\n- {<<: *base, objectAlias: copy}"},
		{title: "The ARN is in another region", objects: secretNamed(strings.Replace(arn, rig.Region, "eu-west-1", 1))},
		{title: "The ARN does not match objectType", objects: fmt.Sprintf("- {objectName: %q, objectType: ssmparameter}", arn)},
		{title: "The ARN of another service", objects: secretNamed("arn:aws:s3:::my-bucket/key")},
		{title: "A parameter's version and label at once", objects: "- {objectName: /prod/url, objectType: ssmparameter, objectVersion: 1, objectVersionLabel: live}"},
		{title: "A parameter's version inside its name", objects: "- {objectName: \"/prod/url:1\", objectType: ssmparameter}"},
		{title: "failoverObject without failoverRegion", objects: with("objectAlias: db, failoverObject: {objectName: prod/db-copy}")},
		{title: "failoverObject without objectAlias", objects: with("failoverObject: {objectName: prod/db-copy}"), parameters: withFailover},
		{title: "failoverObject is a name", objects: with("objectAlias: db, failoverObject: prod/db-copy"), parameters: withFailover},
		{title: "failoverObject has another version", objects: with(`objectAlias: db, objectVersion: "1", failoverObject: {objectName: prod/db-copy, objectVersion: "2"}`), parameters: withFailover},
		{title: "failoverObject has no version, but the object has one", objects: with(`objectAlias: db, objectVersion: "1", failoverObject: {objectName: prod/db-copy}`), parameters: withFailover},
		{title: "failoverObject's ARN is in the primary region", objects: with(fmt.Sprintf("objectAlias: db, failoverObject: {objectName: %q}", arn)), parameters: withFailover},
		{title: "failoverObject's ARN is a parameter's", objects: with(`objectAlias: db, failoverObject: {objectName: "arn:aws:ssm:eu-west-1:123456789012:parameter/db"}`), parameters: withFailover},
		{title: "failoverRegion, an ARN and no failoverObject", objects: secretNamed(arn), parameters: withFailover},
		{title: "Four mistakes at once", objects: "- {objectName: prod/db}\n- {objectType: secretsmanager}\n- {objectName: prod/text, objectType: secretsmanager, filePermission: 0999}\n- \n"},
	}}
}

func fileMistakes() chapter {
	return chapter{"SecretProviderClass: files", []mistake{
		{title: "filePermission with three digits", objects: with(`filePermission: "644"`)},
		{title: "filePermission with a digit that is not octal", objects: with(`filePermission: "0698"`)},
		{title: "filePermission with the setuid bit", objects: with(`filePermission: "4755"`)},
		{title: "filePermission as letters", objects: with("filePermission: rw-r--r--")},
		{title: "One secret twice", objects: dbSecret + dbSecret},
		{title: "One alias twice", objects: with("objectAlias: db") + "\n- {objectName: prod/text, objectType: secretsmanager, objectAlias: db}"},
		{title: "A jmesPath entry writes the file of another object", objects: with("jmesPath: [{path: user, objectAlias: prod_text}]") + "\n" + secretNamed("prod/text")},
		{title: "Two names that become one file", objects: dbSecret + secretNamed("prod_db")},
		{title: "A file where another needs a directory", objects: with("objectAlias: prod") + "\n- {objectName: prod/text, objectType: secretsmanager}", parameters: map[string]string{"pathTranslation": "False"}},
		{title: "A file name that leaves the volume", objects: with("objectAlias: ../../etc/passwd"), parameters: map[string]string{"pathTranslation": "False"}},
		{title: "A file name that begins with two dots", objects: with("objectAlias: ..db")},
		{title: "A file name that is the volume", objects: with("objectAlias: .")},
		{title: "A file name that ends with a slash", objects: with("objectAlias: db/"), parameters: map[string]string{"pathTranslation": "False"}},
		{title: "A file name that is too long", objects: with("objectAlias: " + strings.Repeat("x", 256))},
		{title: "jmesPath without path", objects: with("jmesPath: [{objectAlias: user}]")},
		{title: "jmesPath without objectAlias", objects: with("jmesPath: [{path: user}]")},
		{title: "jmesPath is a string", objects: with("jmesPath: user")},
		{title: "jmesPath with a syntax error", objects: with(`jmesPath: [{path: "user.", objectAlias: user}]`)},
		{title: "jmesPath with a dash and no quotes", objects: with(`jmesPath: [{path: "user-name", objectAlias: user}]`)},
		{title: "jmesPath with an unknown function", objects: with(`jmesPath: [{path: "upper(user)", objectAlias: user}]`)},
		{title: "jmesPath that is too long", objects: with(`jmesPath: [{path: "` + strings.Repeat("user|", 1000) + `user", objectAlias: user}]`)},
		{title: "jmesPath that is nested too deep", objects: with(`jmesPath: [{path: "` + strings.Repeat("!", 100) + `user", objectAlias: user}]`)},
	}}
}

func languageMistakes() chapter {
	selection := func(fields string) string {
		return "- {objectName: prod/*, objectType: secretsmanager, " + fields + "}"
	}
	return chapter{"SecretProviderClass: formats, patterns and selections", []mistake{
		{title: "format is not a format", objects: with("format: dotenv")},
		{title: "objectEncoding is not an encoding", objects: with("objectEncoding: base32")},
		{title: "objectEncoding and jmesPath", objects: with("objectEncoding: base64, jmesPath: [{path: user, objectAlias: user}]")},
		{title: "optional is neither true nor false", objects: with("optional: maybe")},
		{title: "format files and an alias without a star", objects: with("format: files, objectAlias: db")},
		{title: "format env and an alias with a star", objects: with(`format: env, objectAlias: "*.env"`)},
		{title: "A pattern that leaves the volume", objects: with(`format: files, objectAlias: "../*"`), parameters: map[string]string{"pathTranslation": "False"}},
		{title: "One object and one pattern twice", objects: with("format: files") + "\n" + with("format: files")},
		{title: "An object's region is not a region name", objects: with("region: Frankfurt")},
		{title: "region of an object and failoverRegion", objects: with("region: eu-central-1"), parameters: withFailover},
		{title: "maxObjects and tags without a selection", objects: with("maxObjects: 5, tags: {team: payments}")},
		{title: "maxObjects is too large", objects: selection("maxObjects: 1000")},
		{title: "A selection with a version, jmesPath and another file name", objects: selection("objectAlias: db, objectVersionLabel: AWSPREVIOUS, jmesPath: [{path: user, objectAlias: user}]")},
		{title: "A selection as one document without a name", objects: selection("format: env")},
		{title: "A selection of parameters that is no path", objects: "- {objectName: /prod/db*, objectType: ssmparameter}"},
		{title: "A selection of secrets with a star in the middle", objects: "- {objectName: prod/*/db, objectType: secretsmanager}"},
		{title: "A selection of every secret", objects: `- {objectName: "*", objectType: secretsmanager}`},
		{title: "A selection by ARN", objects: `- {objectName: "arn:aws:secretsmanager:ap-south-1:123456789012:secret:prod/*"}`},
		{title: "A selection of parameters with tags", objects: "- {objectName: /prod/*, objectType: ssmparameter, tags: {team: payments}}"},
	}}
}

func parameterMistakes() chapter {
	one := func(name, value string) map[string]string { return map[string]string{name: value} }
	return chapter{"SecretProviderClass: other parameters", []mistake{
		{title: "region is not a region name", parameters: one("region", "Asia Pacific (Mumbai)")},
		{title: "region is an availability zone in capitals", parameters: one("region", "AP-SOUTH-1a")},
		{title: "roleArn is a name", parameters: one("roleArn", "payment-role")},
		{title: "roleArn is a user's", parameters: one("roleArn", "arn:aws:iam::123456789012:user/payment")},
		{title: "pathTranslation has two characters", parameters: one("pathTranslation", "__")},
		{title: "pathTranslation is True", parameters: one("pathTranslation", "True")},
		{title: "usePodIdentity is neither true nor false", parameters: one("usePodIdentity", "yes")},
		{title: "usePodIdentity with roleArn", parameters: map[string]string{"usePodIdentity": "true", "roleArn": rig.RoleARN}},
		{title: "assumeRoleArn is a name", parameters: one("assumeRoleArn", "vault-role")},
		{title: "externalId without assumeRoleArn", parameters: one("externalId", "of-payments")},
		{title: "externalId has a space", parameters: map[string]string{"assumeRoleArn": vaultARN, "externalId": "of payments"}},
		{title: "failoverRegion is not a region name", parameters: one("failoverRegion", "Ireland")},
		{title: "failoverRegion is the primary region", parameters: one("failoverRegion", rig.Region)},
		{title: "failoverRegion is the node's region", parameters: map[string]string{"region": "", "failoverRegion": rig.Region}, ownRig: &rig.Options{}, same: "failoverRegion is the primary region"},
	}}
}

func valueMistakes() chapter {
	parameter := func(fields string) string { return "- {objectType: ssmparameter, " + fields + "}" }
	return chapter{"Secrets and parameters in AWS", []mistake{
		{title: "The secret does not exist", objects: secretNamed("prod/dbb")},
		{title: "The secret is in another region", objects: secretNamed("prod/elsewhere")},
		{title: "The secret is not in the failover region", objects: secretNamed("prod/text"), parameters: withFailover},
		{title: "The secret is in the failover region only", objects: secretNamed("prod/elsewhere"), parameters: withFailover, same: "The secret is in another region"},
		{title: "The parameter is not in the failover region", objects: parameter("objectName: /prod/url"), parameters: withFailover},
		{title: "The secret's ARN has another suffix", objects: secretNamed("arn:aws:secretsmanager:ap-south-1:123456789012:secret:prod/db-ZZZZZZ")},
		{title: "The secret has no value", objects: secretNamed("prod/empty")},
		{title: "The secret has no such version", objects: with("objectVersion: 33333333-3333-3333-3333-333333333333")},
		{title: "The secret's version is a number", objects: with("objectVersion: 2")},
		{title: "The secret has no such label", objects: with("objectVersionLabel: LIVE")},
		{title: "The secret's version and label do not match", objects: with("objectVersion: 11111111-1111-1111-1111-111111111111, objectVersionLabel: AWSCURRENT")},
		{title: "The secret's name has a space", objects: secretNamed("prod db")},
		{title: "The parameter does not exist", objects: parameter("objectName: /prod/urll")},
		{title: "The parameter's name lacks its leading slash", objects: parameter("objectName: prod/url")},
		{title: "The parameter has no such version", objects: parameter("objectName: /prod/url, objectVersion: 9")},
		{title: "The parameter has no such label", objects: parameter("objectName: /prod/url, objectVersionLabel: LIVE")},
		{title: "The parameter's name has a space", objects: parameter(`objectName: "/prod/my url"`)},
		{title: "jmesPath on a value that is not JSON", objects: "- {objectName: prod/text, objectType: secretsmanager, jmesPath: [{path: user, objectAlias: user}]}"},
		{title: "jmesPath for a missing key", objects: with("jmesPath: [{path: username, objectAlias: user}]")},
		{title: "jmesPath with a function that does not take this type", objects: with("jmesPath: [{path: sum(hosts), objectAlias: sum}]")},
		{title: "format of a value that is not JSON", objects: "- {objectName: prod/text, objectType: secretsmanager, format: files}"},
		{title: "format env and a key that is no name", objects: with(`format: env, objectAlias: db.env, jmesPath: [{path: "{\"a-b\": user}", format: env, objectAlias: user.env}]`)},
		{title: "objectEncoding of a value that is not encoded", objects: "- {objectName: prod/text, objectType: secretsmanager, objectEncoding: hex}"},
		{title: "A key writes the file of another object", objects: "- {objectName: prod/text, objectType: secretsmanager, objectAlias: user}\n" + with("format: files")},
		{title: "Two mistakes at once: both secrets are missing", objects: secretNamed("prod/dbb") + "\n" + secretNamed("prod/elsewhere")},
	}}
}
