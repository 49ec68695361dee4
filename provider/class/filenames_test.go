package class_test

import (
	"fmt"
	"strings"
	"testing"

	"secrets-provider-aws/provider/class"
)

// aliased is an entry for secret s with an alias, quoted as YAML takes it with escapes.
func aliased(alias string) string {
	return fmt.Sprintf("- objectName: s\n  objectType: secretsmanager\n  objectAlias: %q\n", alias)
}

func TestK30_AliasElseName(t *testing.T) {
	wantFiles(t, parse(t, secret("db")+aliased("database"), nil), "db", "database")
}

func TestK11_SlashesBecomeUnderscores(t *testing.T) {
	wantFiles(t, parse(t, secret("/app/db")+secret("app/cache")+secret("//x/")+aliased("/certs/tls.crt"), nil),
		"_app_db", "app_cache", "__x_", "_certs_tls.crt")
}

func TestK11_FalseKeepsDirectories(t *testing.T) {
	wantFiles(t, parse(t, secret("/app/db")+secret("app/cache")+secret("///deep/er/x")+aliased("/certs/tls.crt"), params{"pathTranslation": "False"}),
		"app/db", "app/cache", "deep/er/x", "certs/tls.crt")
}

func TestK31_ARNKeepsItsColons(t *testing.T) {
	wantFiles(t, parse(t, object(secretARN, "")+object(parameterARN, ""), nil),
		"arn:aws:secretsmanager:ap-south-1:123456789012:secret:prod_db-AbCdEf",
		"arn:aws:ssm:ap-south-1:123456789012:parameter_prod_level")
	wantFiles(t, parse(t, object(parameterARN, ""), params{"pathTranslation": "False"}),
		"arn:aws:ssm:ap-south-1:123456789012:parameter/prod/level")
}

func TestK32_JMESPathFilesStandBesideTheWhole(t *testing.T) {
	text := secret("db") + lines(
		"  filePermission: '0400'",
		"  jmesPath:",
		"  - {path: user, objectAlias: db/user}",
		"  - {path: password, objectAlias: db/password, filePermission: '0440'}",
		"  - {path: '\"a-b\".c[0]', objectAlias: db/c, filePermission: null}",
	)
	wantFiles(t, parse(t, text, nil), "db 0400", "db_user 0400 < user", "db_password 0440 < password", `db_c 0400 < "a-b".c[0]`)
	wantFiles(t, parse(t, strings.Replace(text, "  filePermission: '0400'\n", "  objectAlias: whole\n", 1), params{"pathTranslation": "False"}),
		"whole", "db/user < user", "db/password 0440 < password", `db/c < "a-b".c[0]`)
}

// Any byte that Linux takes is taken, as long as the driver takes it too.
func TestK33_UnusualFileNames(t *testing.T) {
	for _, name := range []string{
		"a b", "tls.crt", ".hidden", "a..b", "a..", "-rf", "schlüssel", "鍵", "a\\b", "a:b", "$HOME", "a\tb", "a\nb", "CON", "*", "~", "y", "null", "1e3",
		strings.Repeat("a", 255),
	} {
		t.Run(name, func(t *testing.T) { wantFiles(t, parse(t, aliased(name), nil), name) })
	}
}

// What the driver would refuse, and what it would take and should not (rule D25).
func TestI6_BadFileNamesAreRefused(t *testing.T) {
	const (
		keep  = "False"
		climb = "leaves the volume with ../"
		dirty = "is not a clean path: remove empty elements, . elements and a slash at the end"
		dots  = "begins with two dots: the CSI driver reserves such names"
		whole = "is the volume itself: set objectAlias"
		long  = "has an element longer than 255 bytes: set objectAlias"
	)
	for _, tt := range []struct{ alias, translation, path, why string }{
		{".", "", ".", whole},
		{"/.", keep, ".", whole},
		{"..", "", "..", climb},
		{"../a", keep, "../a", climb},
		{"/../a", keep, "../a", climb},
		{"a/../b", keep, "a/../b", climb},
		{"a/..", keep, "a/..", climb},
		{"a/../../../etc/passwd", keep, "a/../../../etc/passwd", climb},
		{"..data", "", "..data", dots},
		{"..2024_01_01", "", "..2024_01_01", dots},
		{"...", "", "...", dots},
		{"../a", "", ".._a", dots},
		{"..data/x", keep, "..data/x", dots},
		{"a/", keep, "a/", dirty},
		{"a//b", keep, "a//b", dirty},
		{"./a", keep, "./a", dirty},
		{"a/./b", keep, "a/./b", dirty},
		{"a/.", keep, "a/.", dirty},
		{"/", keep, "", "is empty: set objectAlias"},
		{"///", keep, "", "is empty: set objectAlias"},
		{"/a", "/", "/a", "is absolute: set objectAlias or pathTranslation"},
		{"a/b", ".", "a.b", ""}, // a dot is as good a character as any
		{"/./", ".", "...", dots},
		{"a\x00b", "", "a\x00b", "contains a NUL byte"},
		{"a/b", "\x00", "a\x00b", "contains a NUL byte"},
		{strings.Repeat("a", 256), "", strings.Repeat("a", 256), long},
		{"d/" + strings.Repeat("a", 256) + "/b", keep, "d/" + strings.Repeat("a", 256) + "/b", long},
		{strings.Repeat("ü", 128), "", strings.Repeat("ü", 128), long}, // bytes, not characters
		{strings.Repeat("/", 128) + "a", "ü", strings.Repeat("ü", 128) + "a", long},
		{strings.Repeat("a/", 2048) + "a", keep, strings.Repeat("a/", 2048) + "a", "is longer than 4096 bytes: set objectAlias"},
	} {
		t.Run(tt.alias+" by "+tt.translation, func(t *testing.T) {
			p := params{"pathTranslation": tt.translation}
			if tt.why == "" {
				wantFiles(t, parse(t, aliased(tt.alias), p), tt.path)
				return
			}
			message := fmt.Sprintf("gives the file name %s, which %s", quote(tt.path), tt.why)
			wantFaults(t, faults(t, aliased(tt.alias), p), class.Fault{Field: "objects[0].objectAlias", Line: 3, Column: 16, Message: message})

			// The same as the alias of a jmesPath entry, and as the name of an object without alias.
			jmes := fmt.Sprintf("- objectName: s\n  objectType: secretsmanager\n  jmesPath: [{path: x, objectAlias: %q}]\n", tt.alias)
			wantFaults(t, faults(t, jmes, p), class.Fault{Field: "objects[0].jmesPath[0].objectAlias", Line: 3, Column: 37, Message: message})
			named := fmt.Sprintf("- objectName: %q\n  objectType: secretsmanager\n", tt.alias)
			wantFaults(t, faults(t, named, p), class.Fault{Field: "objects[0]", Line: 1, Column: 3, Message: message})
		})
	}
}

// Of a bad file name nothing else is said: neither that it stands twice, nor what it stands in the way of.
func TestI6_BadFileNamesTakeNoPart(t *testing.T) {
	at := func(entry int, name, why string) class.Fault {
		return class.Fault{
			Field: fmt.Sprintf("objects[%d].objectAlias", entry), Line: 3*entry + 3, Column: 16, Message: fmt.Sprintf("gives the file name %q, which %s", name, why),
		}
	}
	const dirty = "is not a clean path: remove empty elements, . elements and a slash at the end"
	wantFaults(t, faults(t, aliased("a/./b")+aliased("a/./b")+aliased("a/./b/c"), params{"pathTranslation": "False"}),
		at(0, "a/./b", dirty), at(1, "a/./b", dirty), at(2, "a/./b/c", dirty))
}

// A path of 4096 bytes is the longest.
func TestD25_LongestPath(t *testing.T) {
	longest := strings.Repeat("a/", 2047) + "aa"
	wantFiles(t, parse(t, aliased(longest), params{"pathTranslation": "False"}), longest)
}

// quote is how messages show a name: escaped, and cut where it is long.
func quote(s string) string {
	if len(s) > 120 {
		return fmt.Sprintf("%q", s[:120]+"…")
	}
	return fmt.Sprintf("%q", s)
}
