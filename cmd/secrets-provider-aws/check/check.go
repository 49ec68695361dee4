// Package check validates SecretProviderClasses offline, before they are applied. It reports what is wrong and on which
// line, which files a pod gets, and which IAM policies its role needs. Like the server it uses class.Parse.
package check

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/provider/class"
)

// Options are facts that the manifests do not contain.
type Options struct {
	Region     string // default region of a class; empty if only the node's label gives it
	Account    string // AWS account, for policies; empty if unknown
	OIDCIssuer string // the cluster's OIDC issuer, with or without https://; empty if unknown
	Strict     bool   // a class that is not among the manifests is an error
	Nodes      int    // number of nodes, for the cost of rotation; 0 for no estimate
	// RefreshInterval is that of the provider, for classes without one. At least 1 s if Nodes is set.
	RefreshInterval time.Duration
}

var (
	accountRE = regexp.MustCompile(`^[0-9]{12}$`)
	issuerRE  = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~/-]+)?$`)
)

func (o Options) check() error {
	var errs []error
	if o.Region != "" && !awsclient.ValidRegion(o.Region) {
		errs = append(errs, fmt.Errorf("--region %q is not the name of an AWS region, such as eu-west-1", o.Region))
	}
	if o.Account != "" && !accountRE.MatchString(o.Account) {
		errs = append(errs, fmt.Errorf("--account %q is not 12 digits", o.Account))
	}
	if o.OIDCIssuer != "" && !issuerRE.MatchString(o.issuer()) {
		errs = append(errs, fmt.Errorf("--oidc-issuer %q is not the URL of an issuer, such as https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF", o.OIDCIssuer))
	}
	if o.Nodes < 0 {
		errs = append(errs, fmt.Errorf("--nodes %d is less than 0", o.Nodes))
	}
	if o.Nodes > 0 && o.RefreshInterval < time.Second {
		errs = append(errs, fmt.Errorf("--refresh-interval %s is less than 1s", o.RefreshInterval))
	}
	return errors.Join(errs...)
}

// issuer is the OIDC issuer in IAM's form, without https://.
func (o Options) issuer() string {
	return strings.TrimSuffix(strings.TrimPrefix(o.OIDCIssuer, "https://"), "/")
}

// Manifests checks files, directories and standard input (Stdin). The Report holds every fault of the manifests.
// The error is about wrong options or input that cannot be read.
func Manifests(paths []string, stdin io.Reader, o Options) (*Report, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	ck := &checker{options: o, findings: findings{seen: map[Finding]bool{}}, work: maxWork}
	r := &reader{left: maxInput, broken: func(at place, format string, args ...any) {
		ck.add(Error, at, object{}, "", format, args...)
	}}
	for _, path := range paths {
		if err := r.read(path, stdin); err != nil {
			return nil, err
		}
	}
	for _, d := range r.documents {
		ck.collect(d, d.root, 0, &ck.findings)
	}
	ck.all()
	if len(ck.classes) == 0 && len(ck.workloads) == 0 && len(ck.list) == 0 {
		ck.add(Warning, place{}, object{}, "", "found no SecretProviderClass of provider aws and no volume of the CSI driver")
	}
	return ck.report(r.files), nil
}

// Report is the result of a check. -o json prints it as JSON: later versions may add fields, but never change the
// meaning of one.
type Report struct {
	Findings  []Finding  `json:"findings"` // in the order of the manifests
	Classes   []Class    `json:"classes"`
	Workloads []Workload `json:"workloads"`
	Roles     []Role     `json:"roles"`
	Rotation  *Rotation  `json:"rotation,omitempty"` // nil without Options.Nodes
	Summary   Summary    `json:"summary"`
}

// Summary counts the findings.
type Summary struct {
	Errors   int `json:"errors"`
	Warnings int `json:"warnings"`
	Notes    int `json:"notes"`
}

// Class is a SecretProviderClass with the files of its volumes.
type Class struct {
	Namespace      string `json:"namespace,omitempty"`
	Name           string `json:"name"`
	Origin         string `json:"file"`
	Line           int    `json:"line"`
	Valid          bool   `json:"valid"`                    // whether it can be mounted
	Region         string `json:"region,omitempty"`         // empty if the node's label decides
	FailoverRegion string `json:"failoverRegion,omitempty"` // empty for none
	Files          []File `json:"files"`                    // empty if the class is not valid
}

// File is a file of a volume.
type File struct {
	Path    string `json:"path"` // below the mount path
	Mode    string `json:"mode"` // octal
	Object  string `json:"object"`
	Type    string `json:"type"` // secretsmanager or ssmparameter
	Version string `json:"version,omitempty"`
	Label   string `json:"label,omitempty"`
	// JMESPath selects the part of the object's value that becomes the file; empty for the whole value.
	JMESPath string `json:"jmesPath,omitempty"`
	// Pattern is true if Path is a pattern: its * stands for the keys of the value, or for the rest of the names of a selection,
	// which only AWS knows.
	Pattern  bool   `json:"pattern,omitempty"`
	Format   string `json:"format,omitempty"`         // empty for the value as it is
	Encoding string `json:"objectEncoding,omitempty"` // empty for none
	Optional bool   `json:"optional,omitempty"`       // may be absent
	Region   string `json:"region,omitempty"`         // that of the object; empty for that of the class
	// MaxObjects is the most objects of a selection; 0 if Object is one.
	MaxObjects int `json:"maxObjects,omitempty"`
}

// Workload is a pod or an object with a pod template that has volumes of the CSI driver.
type Workload struct {
	Kind           string   `json:"kind"`
	Namespace      string   `json:"namespace,omitempty"`
	Name           string   `json:"name"`
	Origin         string   `json:"file"`
	Line           int      `json:"line"`
	ServiceAccount string   `json:"serviceAccount"`
	Volumes        []Volume `json:"volumes"`
}

// Volume is a volume of the CSI driver.
type Volume struct {
	Name   string  `json:"name"`
	Class  string  `json:"class"`
	Mounts []Mount `json:"mounts"`
	Files  []File  `json:"files"` // empty if the class is not among the manifests or not valid
}

// Mount is a container's mount of a volume.
type Mount struct {
	Container string `json:"container"`
	Path      string `json:"path"`
	SubPath   string `json:"subPath,omitempty"`
}

// defaultMode is the mode of files without filePermission: the CSI driver's default.
const defaultMode = "0644"

// maxPreview limits the number of files that the report lists for workloads.
const maxPreview = 200_000

func (ck *checker) report(files []string) *Report {
	r := &Report{Findings: append([]Finding{}, ck.sorted(files)...), Classes: []Class{}, Workloads: []Workload{}, Roles: ck.roles(), Rotation: ck.rotation()}
	for _, f := range r.Findings {
		switch f.Severity {
		case Error:
			r.Summary.Errors++
		case Warning:
			r.Summary.Warnings++
		case Note:
			r.Summary.Notes++
		}
	}
	for _, c := range ck.classes {
		at := c.place()
		out := Class{
			Namespace: c.namespace, Name: c.name, Origin: at.file, Line: at.line, Valid: c.valid,
			Region: c.parsed.Region, FailoverRegion: c.parsed.FailoverRegion, Files: []File{},
		}
		if c.valid {
			out.Files = filesOf(c.parsed)
		}
		r.Classes = append(r.Classes, out)
	}
	listed := 0
	for _, w := range ck.workloads {
		at := w.place()
		workload := Workload{Kind: w.kind, Namespace: w.namespace, Name: w.name, Origin: at.file, Line: at.line, ServiceAccount: w.account}
		for _, v := range w.volumes {
			volume := Volume{Name: v.name, Class: v.className, Mounts: []Mount{}, Files: []File{}}
			for _, m := range v.mounts {
				volume.Mounts = append(volume.Mounts, m.Mount)
			}
			if v.valid && listed < maxPreview {
				volume.Files = filesOf(v.parsed)
				listed += len(volume.Files) * max(1, len(v.mounts))
			}
			workload.Volumes = append(workload.Volumes, volume)
		}
		r.Workloads = append(r.Workloads, workload)
	}
	return r
}

// filesOf lists the files of a volume.
func filesOf(c class.Class) []File {
	files := []File{}
	for _, o := range c.Objects {
		for _, f := range o.Files {
			mode := defaultMode
			if f.Mode != nil {
				mode = fmt.Sprintf("%04o", *f.Mode)
			}
			file := File{
				Path: f.Path, Mode: mode, Object: o.Name, Type: string(o.Type), Version: o.Version, Label: o.Label, JMESPath: f.Expression,
				Pattern: f.Pattern, Format: string(f.Format), Encoding: string(f.Encoding), Optional: o.Optional || f.Optional, Region: o.Region,
			}
			if o.Selection != nil {
				file.MaxObjects = o.Selection.Max
			}
			files = append(files, file)
		}
	}
	return files
}

// covers reports whether the volume can have a file at path because of f.
func (f File) covers(path string) bool {
	if !f.Pattern {
		return f.Path == path
	}
	before, after, _ := strings.Cut(f.Path, "*")
	return len(path) > len(before)+len(after) && strings.HasPrefix(path, before) && strings.HasSuffix(path, after)
}

// Failed reports whether the check fails: with any error or, if strict, with any warning.
func (r *Report) Failed(strict bool) bool {
	return r.Summary.Errors > 0 || strict && r.Summary.Warnings > 0
}
