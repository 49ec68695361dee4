//go:build e2e

package e2e

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The files belong to root:root, whatever fsGroup says. The mode decides which users of a container can read them.
func TestModes_WhoReadsAFile(t *testing.T) {
	c := newTenant(t)
	name := c.secret("password", "correct-horse-modes")
	var objects strings.Builder
	for _, file := range []struct{ alias, permission string }{{"default", ""}, {"all", `"0444"`}, {"group", `"0440"`}, {"owner", `"0400"`}} {
		objects.WriteString("- {objectName: " + name + ", objectType: secretsmanager, objectAlias: " + file.alias)
		if file.permission != "" {
			objects.WriteString(", filePermission: " + file.permission)
		}
		objects.WriteString("}\n")
	}
	c.class("secrets", objects.String())
	pods := []struct {
		name     string
		security string
		reads    []string
	}{
		{"user-and-group", "{runAsNonRoot: true, runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000}", []string{"default", "all"}},
		{"in-group-root", "{runAsNonRoot: true, runAsUser: 1000, runAsGroup: 1000, supplementalGroups: [0]}", []string{"default", "all", "group"}},
		// Without runAsGroup, a user that the image does not know has the group root.
		{"user-alone", "{runAsNonRoot: true, runAsUser: 1000}", []string{"default", "all", "group"}},
		{"root", "{runAsUser: 0}", []string{"default", "all", "group", "owner"}},
	}
	for _, pod := range pods {
		c.createPod(pod.name, podSpec{classes: []string{"secrets"}, security: pod.security})
	}
	for _, pod := range pods {
		c.step(pod.name, func() {
			c.must(c.WaitPodReady(c.ctx, c.namespace, pod.name))
			for _, file := range []string{"default", "all", "group", "owner"} {
				got, err := c.Exec(c.ctx, c.namespace, pod.name, "cat", "/mnt/secrets/"+file)
				switch {
				case slices.Contains(pod.reads, file):
					if got != "correct-horse-modes" || err != nil {
						c.t.Errorf("%s: got %q, %v, want its value", file, got, err)
					}
				case err == nil || !strings.Contains(err.Error(), "permission denied"):
					c.t.Errorf("%s: got %q, %v, want permission denied", file, got, err)
				}
			}
			listed, err := c.Exec(c.ctx, c.namespace, pod.name, "ls", "/mnt/secrets/..data/")
			c.must(err)
			if diff := cmp.Diff(map[string]string{
				"default": "-rw-r--r-- 0:0", "all": "-r--r--r-- 0:0", "group": "-r--r----- 0:0", "owner": "-r-------- 0:0",
			}, owners(listed)); diff != "" {
				c.t.Errorf("modes and owners (-want +got):\n%s", diff)
			}
		})
	}
}

// owners returns the mode and the owner of each file in the output of ls, by its name.
func owners(listed string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(listed) {
		if fields := strings.Fields(line); len(fields) == 4 && strings.HasPrefix(fields[0], "-") {
			all[fields[3][strings.LastIndexByte(fields[3], '/')+1:]] = fields[0] + " " + fields[1]
		}
	}
	return all
}
