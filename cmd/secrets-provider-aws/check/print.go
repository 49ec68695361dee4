package check

import (
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteJSON writes the report as one JSON object.
func (r *Report) WriteJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// WriteText writes the report for people. The findings come first, in a format that editors can jump to.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, f := range r.Findings {
		fmt.Fprintln(&b, f)
	}
	if len(r.Findings) > 0 {
		b.WriteByte('\n')
	}
	for _, c := range r.Classes {
		c.print(&b)
	}
	for _, w := range r.Workloads {
		w.print(&b)
	}
	for _, role := range r.Roles {
		role.print(&b)
	}
	if len(r.Roles) > 0 {
		b.WriteString("For a secret or parameter with your own KMS key, also allow kms:Decrypt on that key.\n\n")
	}
	if r.Rotation != nil {
		r.Rotation.print(&b)
	}
	fmt.Fprintf(&b, "%s, %s, %s\n", count(r.Summary.Errors, "error"), count(r.Summary.Warnings, "warning"), count(r.Summary.Notes, "note"))
	_, err := io.WriteString(w, b.String())
	return err
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func (c Class) print(b *strings.Builder) {
	fmt.Fprintf(b, "SecretProviderClass %s (%s:%d)", qualified(c.Namespace, c.Name), c.Origin, c.Line)
	switch {
	case !c.Valid:
		b.WriteString(": cannot be mounted\n\n")
		return
	case c.FailoverRegion != "":
		fmt.Fprintf(b, ", from %s or %s", orNodes(c.Region), c.FailoverRegion)
	default:
		fmt.Fprintf(b, ", from %s", orNodes(c.Region))
	}
	b.WriteByte('\n')
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, f := range c.Files {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", plain(f.Path), f.Mode, f.source())
	}
	_ = table.Flush() // into memory
	b.WriteByte('\n')
}

func orNodes(region string) string {
	if region == "" {
		return "the node's region"
	}
	return region
}

// source describes the object that the file is written from.
func (f File) source() string {
	s := "parameter "
	if f.Type == "secretsmanager" {
		s = "secret "
	}
	s += plain(f.Object)
	switch {
	case f.MaxObjects > 0 && f.Type == "secretsmanager":
		s = fmt.Sprintf("secrets %s, at most %d", plain(f.Object), f.MaxObjects)
	case f.MaxObjects > 0:
		s = fmt.Sprintf("parameters %s, at most %d", plain(f.Object), f.MaxObjects)
	}
	for _, part := range []struct{ name, value string }{
		{"in", f.Region}, {"version", f.Version}, {"label", f.Label}, {"jmesPath", f.JMESPath}, {"encoding", f.Encoding}, {"format", f.Format},
	} {
		if part.value != "" {
			s += ", " + part.name + " " + plain(part.value)
		}
	}
	if f.Optional {
		s += ", optional"
	}
	return s
}

func (w Workload) print(b *strings.Builder) {
	fmt.Fprintf(b, "%s %s (%s:%d), ServiceAccount %s\n", plain(w.Kind), qualified(w.Namespace, w.Name), w.Origin, w.Line, plain(w.ServiceAccount))
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, v := range w.Volumes {
		for _, line := range v.lines() {
			fmt.Fprintf(table, "  %s\n", line)
		}
	}
	_ = table.Flush() // into memory
	b.WriteByte('\n')
}

// lines lists the files with their paths in the containers, without repetition.
func (v Volume) lines() []string {
	if len(v.Files) == 0 {
		return []string{"volume " + plain(v.Name) + ": SecretProviderClass " + plain(v.Class) + ", not checked"}
	}
	if len(v.Mounts) == 0 {
		return []string{"volume " + plain(v.Name) + ": no container mounts it"}
	}
	var list []string
	seen := map[string]bool{}
	for _, m := range v.Mounts {
		for _, f := range v.Files {
			at := path.Join(m.Path, f.Path)
			if m.SubPath != "" {
				rest, within := strings.CutPrefix(f.Path+"/", m.SubPath+"/")
				switch {
				case within:
				case f.covers(m.SubPath):
					rest = ""
				default:
					continue
				}
				at = path.Join(m.Path, rest)
			}
			if line := plain(at) + "\t" + f.Mode + "\t" + plain(v.Class); !seen[line] {
				seen[line] = true
				list = append(list, line)
			}
		}
	}
	return list
}

// flags that replace placeholders in policies.
var flags = []struct{ placeholder, flag string }{{unknownRegion, "--region"}, {unknownAccount, "--account"}, {unknownIssuer, "--oidc-issuer"}}

func (r Role) print(b *strings.Builder) {
	name := r.ARN
	if name == "" {
		name = "(ARN unknown)"
	}
	fmt.Fprintf(b, "IAM role %s, %s\n", name, r.how())
	if len(r.Placeholders) > 0 {
		var known []string
		for _, f := range flags {
			if slices.Contains(r.Placeholders, f.placeholder) {
				known = append(known, f.flag)
			}
		}
		fmt.Fprintf(b, "Replace %s in the policies", strings.Join(r.Placeholders, ", "))
		if known != nil {
			fmt.Fprintf(b, ", or set %s", strings.Join(known, ", "))
		}
		b.WriteString(".\n")
	}
	fmt.Fprintf(b, "Permission policy:\n%s\nTrust policy:\n%s\n\n", r.PermissionPolicy, r.TrustPolicy)
}

func (r Role) how() string {
	of := "of ServiceAccount " + strings.Join(r.ServiceAccounts, ", ")
	if len(r.ServiceAccounts) == 0 {
		of = "of SecretProviderClass " + strings.Join(r.Classes, ", ")
	}
	switch r.Mode {
	case PodIdentity:
		return "for the Pod Identity association " + of
	case Assumed:
		return "assumed for pods " + of
	default:
		return of
	}
}
