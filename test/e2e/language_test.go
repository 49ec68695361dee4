//go:build e2e

package e2e

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/test/awssim"
)

// These are the cases of docs/language.md: what it adds to the classes of AWS's provider.

// A class with selections, formats, an encoding and optional objects. While its pods run, objects of each kind appear, change and
// disappear. The files, the driver's versions and the shell follow.
func TestLanguage_FilesFollowWhatExists(t *testing.T) {
	c := newTenant(t)
	c.allowSelections("/team")
	c.values = append(c.values, "correct-horse") // all values contain it
	binary := []byte{0x30, 0x82, 0x00, 0xff, 0x0a, 'k', 'e', 'y'}
	for name, value := range map[string]string{
		"db":       `{"username":"app","password":"correct-horse's $HOME \"5\"","pool":{"max":20},"note":null}`,
		"keystore": base64.StdEncoding.EncodeToString(binary),
		"keys/a":   "correct-horse-a", "keys/b": "correct-horse-b",
		"shared/mail": "correct-horse-mail", "shared/other": "correct-horse-other",
	} {
		c.secret(name, value)
	}
	c.tag("shared/mail", "payments")
	c.tag("shared/other", "orders")
	for _, name := range []string{"team/url", "team/db/host", "legacy"} {
		c.parameter(name, "correct-horse at "+name)
	}
	c.class("secrets", fmt.Sprintf(`
- {objectName: /%[1]s/team/**, objectType: ssmparameter, objectAlias: "team-*"}
- {objectName: %[1]s/keys/*, objectType: secretsmanager, objectAlias: "key-*", filePermission: "0444"}
- {objectName: %[1]s/shared/*, objectType: secretsmanager, objectAlias: "shared-*", tags: {team: payments}}
- {objectName: %[1]s/db, objectType: secretsmanager, objectAlias: "db-*", format: files}
- {objectName: %[1]s/db, objectType: secretsmanager, objectAlias: db.env, format: env}
- {objectName: %[1]s/keystore, objectType: secretsmanager, objectAlias: keystore.p12, objectEncoding: base64}
- {objectName: %[1]s/flag, objectType: secretsmanager, objectAlias: flag, optional: true}
- {objectName: /%[1]s/legacy, objectType: ssmparameter, objectAlias: legacy, optional: true}
`, c.namespace))
	c.runPod("app", podSpec{classes: []string{"secrets"}})
	want := map[string]sight{
		"team-url":     {"-rw-r--r--", "correct-horse at team/url", "1"},
		"team-db_host": {"-rw-r--r--", "correct-horse at team/db/host", "1"},
		"key-a":        {"-r--r--r--", "correct-horse-a", c.version("keys/a")},
		"key-b":        {"-r--r--r--", "correct-horse-b", c.version("keys/b")},
		"shared-mail":  {"-rw-r--r--", "correct-horse-mail", c.version("shared/mail")},
		"db-username":  {"-rw-r--r--", "app", c.version("db")},
		"db-password":  {"-rw-r--r--", `correct-horse's $HOME "5"`, c.version("db")},
		"db-pool":      {"-rw-r--r--", `{"max":20}`, c.version("db")},
		"db.env": {"-rw-r--r--", "note=\n" + `password="correct-horse's \$HOME \"5\""` + "\n" + `pool='{"max":20}'` + "\nusername=app\n",
			c.version("db")},
		"keystore.p12": {"-rw-r--r--", string(binary), c.version("keystore")},
		"legacy":       {"-rw-r--r--", "correct-horse at legacy", "1"},
	}
	c.step("the files of the start", func() {
		c.untilMounted("app", want)
		c.checkSourced("app", "password", `correct-horse's $HOME "5"`)
		c.checkSourced("app", "pool", `{"max":20}`)
	})
	c.step("objects appear", func() {
		c.secret("keys/c", "correct-horse-c")
		c.tag("shared/other", "payments")
		c.parameter("team/db/port", "correct-horse at 5432")
		c.secret("flag", "correct-horse-flag")
		want["key-c"] = sight{"-r--r--r--", "correct-horse-c", c.version("keys/c")}
		want["shared-other"] = sight{"-rw-r--r--", "correct-horse-other", c.version("shared/other")}
		want["team-db_port"] = sight{"-rw-r--r--", "correct-horse at 5432", "1"}
		want["flag"] = sight{"-rw-r--r--", "correct-horse-flag", c.version("flag")}
		c.untilMounted("app", want)
	})
	c.step("objects change", func() {
		c.parameter("team/url", "correct-horse at another url")
		c.secret("db", `{"username":"app","password":"correct-horse\\new"}`)
		c.secret("keystore", base64.RawURLEncoding.EncodeToString(binary[:4]))
		want["team-url"] = sight{"-rw-r--r--", "correct-horse at another url", "2"}
		want["db-username"] = sight{"-rw-r--r--", "app", c.version("db")}
		want["db-password"] = sight{"-rw-r--r--", `correct-horse\new`, c.version("db")}
		want["db.env"] = sight{"-rw-r--r--", `password='correct-horse\new'` + "\nusername=app\n", c.version("db")}
		want["keystore.p12"] = sight{"-rw-r--r--", string(binary[:4]), c.version("keystore")}
		delete(want, "db-pool")
		c.untilMounted("app", want)
		c.checkSourced("app", "password", `correct-horse\new`)
	})
	c.step("objects disappear", func() {
		for _, name := range []string{"keys/a", "shared/mail", "flag"} {
			c.must(c.aws.RemoveSecret(region, c.namespace+"/"+name))
		}
		for _, name := range []string{"team/db/host", "legacy"} {
			c.must(c.aws.RemoveParameter(region, "/"+c.namespace+"/"+name))
		}
		for _, file := range []string{"key-a", "shared-mail", "flag", "team-db_host", "legacy"} {
			delete(want, file)
		}
		c.untilMounted("app", want)
	})
	if restarts := c.kubectl("get", "pod", "app", "-o", "jsonpath={.status.containerStatuses[0].restartCount}"); restarts != "0" {
		t.Errorf("the container was restarted %s times", restarts)
	}
}

// If nothing exists, the pod starts with the file .empty alone. It has that file again as soon as nothing exists any more.
func TestLanguage_AVolumeInWhichNothingExists(t *testing.T) {
	c := newTenant(t)
	c.allowSelections("/flags")
	c.class("secrets", fmt.Sprintf(`
- {objectName: %[1]s/flag, objectType: secretsmanager, objectAlias: flag, optional: true}
- {objectName: /%[1]s/flags/*, objectType: ssmparameter, objectAlias: "flag-*", optional: true}
`, c.namespace))
	c.runPod("app", podSpec{classes: []string{"secrets"}})
	nothing := map[string]sight{".empty": {"-rw-r--r--", "", "none"}}
	c.untilMounted("app", nothing)
	c.secret("flag", "correct-horse-flag")
	c.parameter("flags/checkout", "correct-horse-checkout")
	c.untilMounted("app", map[string]sight{
		"flag":          {"-rw-r--r--", "correct-horse-flag", c.version("flag")},
		"flag-checkout": {"-rw-r--r--", "correct-horse-checkout", "1"},
	})
	c.must(c.aws.RemoveSecret(region, c.namespace+"/flag"))
	c.must(c.aws.RemoveParameter(region, "/"+c.namespace+"/flags/checkout"))
	c.untilMounted("app", nothing)
}

// A refresh of selections costs their pages: not a read for each object, nor for each pod.
func TestLanguage_RefreshOfSelectionsCostsPages(t *testing.T) {
	c := newTenant(t)
	c.allowSelections("/team")
	for i := range 25 {
		c.parameter(fmt.Sprintf("team/%02d", i), "correct-horse-parameter")
		c.secret(fmt.Sprintf("keys/%02d", i), "correct-horse-key")
		c.secret(fmt.Sprintf("shared/%02d", i), "correct-horse-shared")
		c.tag(fmt.Sprintf("shared/%02d", i), "payments")
	}
	c.class("secrets", fmt.Sprintf(`
- {objectName: /%[1]s/team/*, objectType: ssmparameter, objectAlias: "team-*"}
- {objectName: %[1]s/keys/*, objectType: secretsmanager, objectAlias: "key-*"}
- {objectName: %[1]s/shared/*, objectType: secretsmanager, objectAlias: "shared-*", tags: {team: payments}}
`, c.namespace), "    refreshInterval: 15s")
	c.deploy("many", 3, podSpec{classes: []string{"secrets"}})
	c.must(c.WaitPodsReady(c.ctx, c.namespace, "app=many", 3))
	pages := []struct {
		operation, object string
		calls             int
	}{
		{"GetParametersByPath", "/" + c.namespace + "/team", 3}, // 10 a page
		{"BatchGetSecretValue", c.namespace + "/keys/", 2},      // 20 a page
		{"ListSecrets", c.namespace + "/shared/", 1},            // 100 a page
		{"BatchGetSecretValue", c.namespace + "/shared/", 2},    // 20 a call
		{"GetParameters", "/" + c.namespace + "/team/", 0},      // not one by one
		{"GetSecretValue", c.namespace + "/", 0},                // not one by one
	}
	counts := func() []int {
		var all []int
		for _, p := range pages {
			all = append(all, len(c.requests(p.operation, p.object)))
		}
		return all
	}
	start, before := time.Now(), counts()
	c.until(3*time.Minute, "two more refreshes of each selection", func(context.Context) error {
		for i, now := range counts() {
			if p := pages[i]; now-before[i] < 2*p.calls {
				return fmt.Errorf("%d calls of %s for %s", now-before[i], p.operation, p.object)
			}
		}
		return nil
	})
	after := counts()
	took := time.Since(start) // after the counts, so that it covers all of them
	for i, p := range pages {
		calls := after[i] - before[i]
		t.Logf("%d calls of %s for %s in %.1f s", calls, p.operation, p.object, took.Seconds())
		if most := p.calls * (int(took.Seconds()/(15*0.9)) + 1); calls > most {
			t.Errorf("%d calls of %s for %s in %s, want at most %d (%d per 15 s)", calls, p.operation, p.object, took, most, p.calls)
		}
	}
	if n := c.exchanges(); n != 1 {
		t.Errorf("%d requests to STS, want 1", n)
	}
}

// allowSelections gives the role what docs/language.md names for the tenant's objects, and for selections of the path.
func (c *tenant) allowSelections(path string) {
	c.t.Helper()
	c.must(c.aws.SetRole(awssim.Role{Name: c.namespace, TrustPolicy: c.trust(c.namespace, serviceAccount), Policies: []awssim.Document{
		awssim.AllowPolicy("arn:aws:ssm:"+region+":"+account+":parameter/"+c.namespace+path, "ssm:GetParametersByPath"),
		awssim.AllowPolicy("arn:aws:ssm:"+region+":"+account+":parameter/"+c.namespace+"/*", "ssm:GetParameters"),
		awssim.AllowPolicy("arn:aws:secretsmanager:"+region+":"+account+":secret:"+c.namespace+"/*", "secretsmanager:GetSecretValue"),
		awssim.AllowPolicy("*", "secretsmanager:BatchGetSecretValue", "secretsmanager:ListSecrets"),
	}}))
}

// tag sets the tag team of a secret.
func (c *tenant) tag(secret, team string) {
	c.t.Helper()
	c.must(c.aws.TagSecret(region, c.namespace+"/"+secret, map[string]string{"team": team}))
}

// version is the id of the current version of a secret.
func (c *tenant) version(secret string) string {
	c.t.Helper()
	out, err := c.secretsManager().GetSecretValue(c.ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String(c.namespace + "/" + secret)})
	c.must(err)
	return aws.ToString(out.VersionId)
}

// sight is a file in a volume, and the version that the driver's status has of it.
type sight struct{ mode, content, version string }

// untilMounted waits until the container sees exactly these files, by their names below /mnt/secrets, and the driver's status has
// their versions.
func (c *tenant) untilMounted(pod string, want map[string]sight) {
	c.t.Helper()
	start := time.Now()
	want = maps.Clone(want)
	c.until(2*time.Minute, "the files of pod "+pod, func(ctx context.Context) error {
		files, versions := c.files(pod), c.statusOf(ctx, pod)
		got := map[string]sight{}
		for name, version := range versions {
			got[name] = sight{version: version}
		}
		for path, file := range files {
			name := strings.TrimPrefix(path, "/mnt/secrets/")
			mode, content, _ := strings.Cut(file, " ")
			got[name] = sight{mode, content, versions[name]}
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(sight{})); diff != "" {
			return errors.New("(-want +got):\n" + diff)
		}
		return nil
	})
	c.t.Logf("%d files after %.1f s", len(want), time.Since(start).Seconds())
}

// statusOf returns the versions in the SecretProviderClassPodStatus of a pod and the class secrets, by their ids. It is empty until there
// is one.
func (c *tenant) statusOf(ctx context.Context, pod string) map[string]string {
	var status struct {
		Status struct {
			Objects []struct{ ID, Version string }
		}
	}
	path := "/apis/secrets-store.csi.x-k8s.io/v1/namespaces/" + c.namespace + "/secretproviderclasspodstatuses/"
	if err := c.Get(ctx, path+pod+"-"+c.namespace+"-secrets", &status); err != nil {
		return nil
	}
	versions := map[string]string{}
	for _, o := range status.Status.Objects {
		versions[o.ID] = o.Version
	}
	return versions
}

// checkSourced checks the value of a variable in a shell of the container that sources db.env.
func (c *tenant) checkSourced(pod, variable, want string) {
	c.t.Helper()
	got, err := c.Exec(c.ctx, c.namespace, pod, "sh", "-euc", `. /mnt/secrets/db.env; printf %s "$`+variable+`"`)
	c.must(err)
	if got != want {
		c.t.Errorf("after . db.env, %s is %q, want %q", variable, got, want)
	}
}
