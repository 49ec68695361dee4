package class_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"sigs.k8s.io/secrets-store-csi-driver/pkg/util/fileutil" //nolint:depguard // a test: the driver's own code validates file names
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1" //nolint:depguard // the type that fileutil validates

	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/class"
)

// classTexts are realistic `objects`, as in the AWS documentation, in the README of AWS's provider and in charts that
// use it.
var classTexts = []string{
	"- objectName: \"MySecret\"\n  objectType: \"secretsmanager\"\n",
	"    - objectName: \"MySecret\"\n      objectType: \"secretsmanager\"\n    - objectName: \"MyParameter\"\n      objectType: \"ssmparameter\"\n",
	"- objectName: \"MySecret3\"\n  objectType: \"secretsmanager\"\n  objectVersionLabel: \"AWSPREVIOUS\"\n",
	"- objectName: \"MySecret4\"\n  objectType: \"secretsmanager\"\n  objectVersion: \"00112233-4455-6677-8899-aabbccddeeff\"\n  objectAlias: \"MySecret4v1\"\n",
	"- objectName: \"arn:aws:secretsmanager:us-east-2:123456789012:secret:MySecret2-d4e5f6\"\n",
	"- objectName: \"arn:aws:ssm:us-east-2:123456789012:parameter/prod/db\"\n  objectAlias: db\n",
	"- objectName: \"arn:aws:secretsmanager:us-east-2:123456789012:secret:MySecret2-d4e5f6\"\n  jmesPath:\n    - path: username\n      objectAlias: dbusername\n    - path: password\n      objectAlias: dbpassword\n",
	"- objectName: \"MySecret\"\n  objectType: \"secretsmanager\"\n  jmesPath:\n    - path: '\"hyphenated-path\"'\n      objectAlias: \"hyphenated\"\n      filePermission: \"0600\"\n  filePermission: \"0400\"\n",
	"- objectName: \"arn:aws:secretsmanager:us-east-1:123456789012:secret:MySecret-a1b2c3\"\n  objectAlias: testAlias\n  failoverObject:\n    objectName: \"arn:aws:secretsmanager:us-east-2:123456789012:secret:MySecret-d4e5f6\"\n",
	"- objectName: /app/prod/db-password\n  objectType: ssmparameter\n  objectVersion: 3\n- objectName: /app/prod/db-user\n  objectType: ssmparameter\n  objectVersionLabel: live\n",
	`[{"objectName":"MySecret","objectType":"secretsmanager","objectAlias":"secret.json","jmesPath":[{"path":"a.b[0].c","objectAlias":"c"}]}]`,
	"[\n\t{\"objectName\": \"MySecret\", \"objectType\": \"secretsmanager\"}\n]",
	"# rendered by Helm\n- objectName: prod/payments/api\n  objectType: secretsmanager\n  objectAlias: payments/api.json # beside the rest\n\n- objectName: prod/payments/tls\n  objectType: secretsmanager\n  objectAlias: payments/tls.key\n  filePermission: 0400\n",
	"- objectName: &name prod/db\n  objectType: &sm secretsmanager\n  objectAlias: current\n- objectName: *name\n  objectType: *sm\n  objectAlias: previous\n  objectVersionLabel: AWSPREVIOUS\n",
	"- &o {objectName: a, objectType: secretsmanager}\n- <<: *o\n  objectAlias: b\n",
	"- objectName: a\n  objectType: secretsmanager\n- objectName: a/b\n  objectType: secretsmanager\n- objectName: ..\n  objectType: secretsmanager\n",
	"- ObjectName: a\n  objecttype: ssm\n  objectAlias: y\n  filePermission: 600\n",
	"objectName: a\nobjectType: secretsmanager\n",
	"|\n  - objectName: a\n",
	"- objectName: \"a\\0b\"\n  objectType: secretsmanager\n  objectAlias: \"../\\u00e9\"\n",
	"---\n- null\n- []\n- {}\n...\n",
	"- {objectName: prod/db, objectType: secretsmanager, format: files, objectAlias: \"db-*\", optional: true, region: eu-west-1}\n",
	"- objectName: /prod/**\n  objectType: ssmparameter\n  objectAlias: params/*\n  maxObjects: 50\n- objectName: prod/*\n  objectType: secretsmanager\n  format: env\n  objectAlias: all.env\n  tags: {team: payments}\n",
	"- objectName: prod/db\n  objectType: secretsmanager\n  jmesPath:\n  - {path: certs, format: files, objectEncoding: hex, optional: true}\n",
}

// FuzzParse checks that Parse either refuses a text in one line, or returns files with different paths that the
// driver can write.
func FuzzParse(f *testing.F) {
	for i, text := range classTexts {
		f.Add(text, []string{"", "False", "-", "é"}[i%4])
	}
	f.Fuzz(func(t *testing.T, objects, translation string) {
		c, err := class.Parse(params{"objects": objects, "pathTranslation": translation}, "us-east-2")
		if err != nil {
			checkClassError(t, err)
			return
		}
		if len(c.Objects) == 0 {
			t.Error("accepted without an object")
		}
		checkPaths(t, c)
		for _, o := range c.Objects {
			if len(o.Files) == 0 || o.Selection != nil && len(o.Files) > 1 {
				t.Errorf("accepted an object with %d files", len(o.Files))
			}
			if o.Name == "" || o.Type != class.SecretsManager && o.Type != class.SSMParameter {
				t.Errorf("accepted an object %q of type %q", o.Name, o.Type)
			}
			for i, file := range o.Files {
				if jmesPath := i > 0; jmesPath != (file.Selector != nil) {
					t.Errorf("file %d has a jmesPath: %v; only the first file is of the whole value", i, !jmesPath)
				}
				if file.Mode != nil && *file.Mode > 0o777 {
					t.Errorf("accepted the mode %o", *file.Mode)
				}
			}
		}
	})
}

func checkClassError(t *testing.T, err error) {
	t.Helper()
	var list *class.Error
	if !errors.As(err, &list) || len(list.Faults) == 0 || fault.KindOf(err) != fault.Class {
		t.Fatalf("error %v, want one of kind class that lists faults", err)
	}
	if text := err.Error(); strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) || !utf8.ValidString(text) {
		t.Errorf("the error is not one line of text: %q", text)
	}
	for _, f := range list.Faults {
		if f.Field == "" || f.Message == "" || len(f.Field)+len(f.Message) > 1000 {
			t.Errorf("fault %+v, want a field and a short message", f)
		}
	}
}

// checkPattern checks that a pattern gives a file name for a usual key.
func checkPattern(t *testing.T, f class.FileSpec) {
	t.Helper()
	if path, err := f.PathOf("x"); err != nil || !strings.Contains(path, "x") {
		t.Errorf("the accepted pattern %q gives %q, %v", f.Path, path, err)
	}
}

// checkPaths validates the paths with the driver's own code, and checks what that code misses.
func checkPaths(t *testing.T, c class.Class) {
	t.Helper()
	var payload []*v1alpha1.File
	taken := map[string]bool{}
	for _, o := range c.Objects {
		for _, f := range o.Files {
			if f.Pattern {
				checkPattern(t, f)
				continue
			}
			payload = append(payload, &v1alpha1.File{Path: f.Path})
			if taken[f.Path] {
				t.Errorf("two files at %q", f.Path)
			}
			if f.Path == "." || strings.ContainsRune(f.Path, 0) {
				t.Errorf("accepted the path %q", f.Path)
			}
			taken[f.Path] = true
		}
	}
	if err := fileutil.Validate(payload); err != nil {
		t.Errorf("the driver refuses an accepted path: %v", err)
	}
	for path := range taken {
		for i, c := range path {
			if c == '/' && taken[path[:i]] {
				t.Errorf("%q is a file, but a directory in %q", path[:i], path)
			}
		}
	}
}

// Most seeds must be valid, or the fuzzer exercises only the first check.
func TestFuzzSeedsGetPastTheFirstCheck(t *testing.T) {
	accepted := 0
	for _, text := range classTexts {
		if _, err := class.Parse(params{"objects": text}, "us-east-2"); err == nil {
			accepted++
		}
	}
	if accepted < 12 {
		t.Errorf("%d of %d seeds are accepted, want at least 12", accepted, len(classTexts))
	}
}
