package main

import (
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/pflag"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"secrets-provider-aws/auth"
	"secrets-provider-aws/docs"
	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/internal/podevents"
	"secrets-provider-aws/provider"
	"secrets-provider-aws/server"
)

func table(t *testing.T, heading string) [][]string {
	t.Helper()
	rows, err := docs.Table("reference.md", heading)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// docs/reference.md lists exactly the flags, with their defaults.
func TestReference_Flags(t *testing.T) {
	t.Setenv("NODE_NAME", "")
	code := map[string]string{}
	newCommand().Flags().VisitAll(func(f *pflag.Flag) {
		name := "--" + f.Name
		if f.Name == f.Shorthand {
			name = "-" + f.Name
		}
		code[name] = f.DefValue
	})
	documented := map[string]string{}
	for _, row := range table(t, "Flags") {
		flags, defaults := docs.Code(row[0]), docs.Code(row[2])
		for i, flag := range flags {
			documented[flag] = ""
			if i < len(defaults) && !strings.HasPrefix(defaults[i], "$") {
				documented[flag] = defaults[i]
			}
		}
	}
	for _, d := range []map[string]string{code, documented} {
		for flag, value := range d { // pflag writes 2m0s
			d[flag] = regexp.MustCompile(`^(\d+[hm])(0m)?0s$`).ReplaceAllString(value, "$1")
		}
	}
	if diff := cmp.Diff(code, documented); diff != "" {
		t.Errorf("flags (-code +docs/reference.md):\n%s", diff)
	}
}

// docs/reference.md lists exactly the commands.
func TestReference_Commands(t *testing.T) {
	var code, documented []string
	for _, command := range newCommand().Commands() {
		code = append(code, command.Name())
	}
	for _, row := range table(t, "Commands") {
		if name, ok := strings.CutPrefix(docs.Code(row[0])[0], "secrets-provider-aws "); ok {
			name, _, _ = strings.Cut(name, " ")
			documented = append(documented, name)
		}
	}
	slices.Sort(code)
	slices.Sort(documented)
	if diff := cmp.Diff(code, documented); diff != "" {
		t.Errorf("commands (-code +docs/reference.md):\n%s", diff)
	}
}

// docs/reference.md lists exactly the metrics, with their labels.
func TestReference_Metrics(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	fetcher, err := provider.New(provider.Config{Log: log})
	if err != nil {
		t.Fatal(err)
	}
	kubernetes, err := metadata.NewForConfig(&rest.Config{Host: "https://127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	authenticator, err := auth.New(auth.Config{Kubernetes: kubernetes})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(server.Config{Auth: authenticator, Fetcher: fetcher, Log: log, Version: version})
	if err != nil {
		t.Fatal(err)
	}
	events, err := podevents.New(podevents.Config{REST: &rest.Config{Host: "https://127.0.0.1"}, Instance: "node", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	descriptions := make(chan *prometheus.Desc, 100)
	for _, c := range []prometheus.Collector{s, server.SocketUp("aws.sock"), authenticator, fetcher, awsclient.NewMetrics(), events} { // the collectors that serve registers
		c.Describe(descriptions)
	}
	close(descriptions)
	descriptionRE := regexp.MustCompile(`fqName: "([^"]+)".* variableLabels: \{([^}]*)\}`)
	code, documented := map[string]string{}, map[string]string{}
	for d := range descriptions {
		m := descriptionRE.FindStringSubmatch(d.String())
		if m == nil {
			t.Fatalf("cannot read %s", d)
		}
		code[m[1]] = m[2]
	}
	for _, row := range table(t, "Metrics") {
		documented[docs.Code(row[0])[0]] = strings.Join(docs.Code(row[1]), ",")
	}
	if diff := cmp.Diff(code, documented); diff != "" {
		t.Errorf("metrics (-code +docs/reference.md):\n%s", diff)
	}
}
