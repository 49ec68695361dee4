// Package check judges SecretProviderClasses before they are applied, offline: what is wrong, at which line, which
// files will appear, and which IAM policies they take. It judges by class.Parse, as the server does.
package check

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"secrets-provider-aws/internal/awsclient"
	"secrets-provider-aws/provider/class"
)

// Options are what the manifests do not say.
type Options struct {
	Region     string // read from where a class names none; empty where only the node's label can tell
	Account    string // AWS account, for policies; empty where it is not known
	OIDCIssuer string // the cluster's, with or without https://; empty where it is not known
	Strict     bool   // a class that is not there is an error whatever else is
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
	return errors.Join(errs...)
}

// issuer is the OIDC issuer as IAM names it.
func (o Options) issuer() string {
	return strings.TrimSuffix(strings.TrimPrefix(o.OIDCIssuer, "https://"), "/")
}

// Manifests judges files, directories and standard input (Stdin). The error is of what cannot be read, or of options;
// whatever is wrong in the manifests is in the Report.
func Manifests(paths []string, stdin io.Reader, o Options) (*Report, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	j := &judge{options: o, findings: findings{seen: map[Finding]bool{}}, work: maxWork}
	r := &reader{left: maxInput, broken: func(at place, format string, args ...any) {
		j.add(Error, at, object{}, "", format, args...)
	}}
	for _, path := range paths {
		if err := r.read(path, stdin); err != nil {
			return nil, err
		}
	}
	for _, d := range r.documents {
		j.collect(d, d.root, 0, &j.findings)
	}
	j.all()
	if len(j.classes) == 0 && len(j.workloads) == 0 && len(j.list) == 0 {
		j.add(Warning, place{}, object{}, "", "there is no SecretProviderClass of provider aws in it, and no volume of the CSI driver")
	}
	return j.report(r.files), nil
}

// Report is what there is to say of the manifests. Its JSON is what -o json prints: fields may be added to it, and
// keep their meaning.
type Report struct {
	Findings  []Finding  `json:"findings"` // in the order of the manifests
	Classes   []Class    `json:"classes"`
	Workloads []Workload `json:"workloads"`
	Roles     []Role     `json:"roles"`
	Summary   Summary    `json:"summary"`
}

// Summary counts the findings.
type Summary struct {
	Errors   int `json:"errors"`
	Warnings int `json:"warnings"`
	Notes    int `json:"notes"`
}

// Class is a SecretProviderClass and the files that a volume of it will have.
type Class struct {
	Namespace      string `json:"namespace,omitempty"`
	Name           string `json:"name"`
	Origin         string `json:"file"`
	Line           int    `json:"line"`
	Valid          bool   `json:"valid"`                    // whether it can be mounted
	Region         string `json:"region,omitempty"`         // empty where the node decides
	FailoverRegion string `json:"failoverRegion,omitempty"` // empty for none
	Files          []File `json:"files"`                    // none of a class that is not valid
}

// File is a file of a volume.
type File struct {
	Path    string `json:"path"` // below the mount path
	Mode    string `json:"mode"` // octal
	Object  string `json:"object"`
	Type    string `json:"type"` // secretsmanager or ssmparameter
	Version string `json:"version,omitempty"`
	Label   string `json:"label,omitempty"`
	// JMESPath is the part of the object's value that the file is; empty for the whole.
	JMESPath string `json:"jmesPath,omitempty"`
}

// Workload is a pod, or what makes pods, with volumes of the CSI driver.
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
	Files  []File  `json:"files"` // none where the class is not among the manifests, or not valid
}

// Mount is where a container has a volume.
type Mount struct {
	Container string `json:"container"`
	Path      string `json:"path"`
	SubPath   string `json:"subPath,omitempty"`
}

// defaultMode is what files have that say none: the CSI driver asks for it.
const defaultMode = "0644"

// maxPreview bounds the files that are listed for workloads.
const maxPreview = 200_000

func (j *judge) report(files []string) *Report {
	r := &Report{Findings: append([]Finding{}, j.sorted(files)...), Classes: []Class{}, Workloads: []Workload{}, Roles: j.roles()}
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
	for _, c := range j.classes {
		at := c.place()
		spc := Class{
			Namespace: c.namespace, Name: c.name, Origin: at.file, Line: at.line, Valid: c.valid,
			Region: c.parsed.Region, FailoverRegion: c.parsed.FailoverRegion, Files: []File{},
		}
		if c.valid {
			spc.Files = filesOf(c.parsed)
		}
		r.Classes = append(r.Classes, spc)
	}
	listed := 0
	for _, w := range j.workloads {
		at := w.place()
		workload := Workload{Kind: w.kind, Namespace: w.namespace, Name: w.name, Origin: at.file, Line: at.line, ServiceAccount: w.account}
		for _, v := range w.volumes {
			volume := Volume{Name: v.name, Class: v.className, Mounts: append([]Mount{}, v.mounts...), Files: []File{}}
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
			files = append(files, File{Path: f.Path, Mode: mode, Object: o.Name, Type: string(o.Type), Version: o.Version, Label: o.Label, JMESPath: f.Expression})
		}
	}
	return files
}

// Failed reports whether the manifests do not pass: by an error, or in strict judgment by a warning.
func (r *Report) Failed(strict bool) bool {
	return r.Summary.Errors > 0 || strict && r.Summary.Warnings > 0
}
