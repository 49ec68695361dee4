package provider

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"

	"secrets-provider-aws/provider/fault"
	"secrets-provider-aws/provider/jmespath"
)

// Owner is whom values belong to: an identity, written so that no two are alike. It is the only key
// under which values are shared.
type Owner string

// Credentials are those of one owner, asked for only where AWS has to be asked.
type Credentials interface {
	aws.CredentialsProvider
	// Forget drops what Retrieve gave: AWS calls it expired.
	Forget()
}

// Request is what one mount wants.
type Request struct {
	Owner       Owner
	Volume      string // names the volume from its first mount to its last republish
	Class       Class
	Credentials Credentials
}

// Result is the content of a volume and where it came from.
type Result struct {
	Files []File
	Sources
}

// Sources counts the values of a volume by where they came from.
type Sources struct {
	Read     int // from AWS, by this mount or one that ran at the same moment
	Cached   int // from memory, fresh
	Failover int // of the failover region, read or from memory, as the primary did not answer
	Stale    int // from memory, as AWS did not answer
}

// Fetch gives the files of req, in the order in which its class lists them. It is all or nothing: the
// error is a *fault.Error that names every object that failed, not only the first.
//
// How old a value may be, and of which region, is said in freshness.go. Without batches it calls
// GetSecretValue and GetParameters and nothing else.
func (f *Fetcher) Fetch(ctx context.Context, req Request) (Result, error) {
	p := plan(req.Owner, req.Class)
	v := visit{
		arrived: f.now(), first: !f.volumes.knows(req.Volume), failover: req.Class.FailoverRegion != "",
		interval: cmp.Or(req.Class.RefreshInterval, f.interval),
	}
	values, sources, err := f.settle(ctx, req, p, v)
	if err != nil {
		return Result{}, err
	}
	made, err := files(req.Class.Objects, p, values)
	if err != nil {
		return Result{}, err
	}
	f.volumes.add(req.Volume)
	f.metrics.count(sources)
	return Result{Files: made, Sources: sources}, nil
}

// read is one value to read. Equal reads are one.
type read struct {
	kind                 Type
	name, version, label string
}

// pinned reports whether the read names a version, which never changes. A staging label beside it can
// move, and AWS is to say so.
func (r read) pinned() bool { return r.version != "" && r.label == "" }

// what says in a message what was being read.
func (r read) what() string {
	s := "cannot read " + r.kind.noun() + " " + fault.Quote(r.name)
	if r.version != "" {
		s += " version " + fault.Quote(r.version)
	}
	if r.label != "" {
		s += " label " + fault.Quote(r.label)
	}
	return s
}

// fetchPlan says which values a volume takes.
type fetchPlan struct {
	primary  []key // value → its read in the primary region
	failover []key // value → its read in the failover region; nil where there is none
	of       []int // object → its value
}

// keys are those under which a value may be known, the primary region's first.
func (p fetchPlan) keys(i int) []key {
	if p.failover == nil {
		return []key{p.primary[i]}
	}
	return []key{p.primary[i], p.failover[i]}
}

func plan(owner Owner, class Class) fetchPlan {
	type pair struct{ primary, failover read }
	p := fetchPlan{of: make([]int, len(class.Objects))}
	seen := make(map[pair]int, len(class.Objects))
	for i, o := range class.Objects {
		var both pair
		both.primary = read{kind: o.Type, name: o.Name, version: o.Version, label: o.Label}
		both.failover = both.primary
		if other := o.Failover; other != nil && class.FailoverRegion != "" {
			both.failover.name, both.failover.version, both.failover.label = other.Name, other.Version, other.Label
		}
		at, ok := seen[both]
		if !ok {
			at = len(p.primary)
			seen[both] = at
			p.primary = append(p.primary, key{owner: owner, region: class.Region, read: both.primary})
			if class.FailoverRegion != "" {
				p.failover = append(p.failover, key{owner: owner, region: class.FailoverRegion, read: both.failover})
			}
		}
		p.of[i] = at
	}
	return p
}

func files(objects []Object, p fetchPlan, values []value) ([]File, error) {
	var (
		made   []File
		errs   []error
		budget = jmespath.NewBudget()
	)
	for i, o := range objects {
		v := values[p.of[i]]
		parse := sync.OnceValues(func() (*jmespath.Document, error) { return jmespath.Parse(v.content) })
		for _, spec := range o.Files {
			file := File{Path: spec.Path, Mode: spec.Mode, Content: v.content, Version: v.version}
			if spec.compiled != nil {
				doc, err := parse()
				if err == nil {
					file.Content, err = budget.Extract(spec.compiled, doc)
				}
				if err != nil {
					errs = append(errs, extractionFault(o, spec, err))
					continue
				}
			}
			made = append(made, file)
		}
	}
	if err := fault.Join(errs); err != nil {
		return nil, err
	}
	return made, nil
}

// extractionFault says why a jmesPath gave no file. It names the path and never what the value holds.
func extractionFault(o Object, spec FileSpec, err error) error {
	e := &fault.Error{
		Kind:  fault.Content,
		What:  fmt.Sprintf("cannot write file %s from %s %s", fault.Quote(spec.Path), o.Type.noun(), fault.Quote(o.Name)),
		Cause: err,
	}
	expression := "jmesPath " + fault.Quote(spec.Expression)
	switch {
	case errors.Is(err, jmespath.ErrNotJSON):
		e.Why = "the value is not JSON, so that " + expression + " cannot select from it"
		e.Hint = "store JSON, or leave jmesPath out"
	case errors.Is(err, jmespath.ErrNoResult):
		e.Kind = fault.NotFound
		e.Why = expression + " selects nothing, or null"
		e.Hint = "compare it with the keys of the value; a key with a dash or a dot takes double quotes"
	case errors.Is(err, jmespath.ErrResultTooLarge):
		e.Why = expression + " gives more than one volume can hold"
	default: // the reason names types, never a value
		e.Why = expression + " cannot be evaluated: " + err.Error()
	}
	return e
}
