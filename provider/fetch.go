package provider

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"golang.org/x/sync/errgroup"

	"secrets-provider-aws/provider/awsapi"
	"secrets-provider-aws/provider/fault"
	"secrets-provider-aws/provider/jmespath"
)

// readsPerVolume is how many reads of one volume run at a time: fewer than the process has
// places, so that one volume cannot take them all.
const readsPerVolume = 24

// Fetcher reads the objects of a volume. One serves the whole process.
type Fetcher struct {
	secrets    *awsapi.Regional[*secretsmanager.Client]
	parameters *awsapi.Regional[*ssm.Client]
}

// New makes a Fetcher on cfg, which awsapi.Load has made.
func New(cfg aws.Config) *Fetcher {
	return &Fetcher{
		secrets: awsapi.NewRegional(func(region string) *secretsmanager.Client {
			return secretsmanager.NewFromConfig(cfg, func(o *secretsmanager.Options) { o.Region = region })
		}),
		parameters: awsapi.NewRegional(func(region string) *ssm.Client {
			return ssm.NewFromConfig(cfg, func(o *ssm.Options) { o.Region = region })
		}),
	}
}

// Fetch reads every object of class with credentials and makes its files, in the order in
// which class lists them. It is all or nothing: the error is a *fault.Error that names every
// object that failed, not only the first.
//
// It calls GetSecretValue and GetParameters and nothing else. Objects that name the same
// value share one read.
func (f *Fetcher) Fetch(ctx context.Context, credentials aws.CredentialsProvider, class Class) ([]File, error) {
	p := plan(class.Objects)
	values := make([]value, len(p.reads))
	errs := make([]error, len(p.reads))
	var group errgroup.Group
	group.SetLimit(readsPerVolume)
	for _, i := range p.secrets {
		group.Go(func() (panicked error) {
			defer fault.Recover(&panicked)
			values[i], errs[i] = f.readSecret(ctx, credentials, class.Region, p.reads[i])
			return nil
		})
	}
	for _, batch := range p.batches {
		group.Go(func() (panicked error) {
			defer fault.Recover(&panicked)
			f.readParameters(ctx, credentials, class.Region, batch, p.reads, values, errs)
			return nil
		})
	}
	if err := group.Wait(); err != nil { // a panic; each read keeps its own error
		return nil, err
	}
	if err := fault.Join(errs); err != nil {
		return nil, err
	}
	return files(class.Objects, p, values)
}

// read is one value to read. Equal reads are one.
type read struct {
	kind                 Type
	name, version, label string
}

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

// fetchPlan says which reads a volume takes.
type fetchPlan struct {
	reads   []read
	of      []int   // object → its read
	secrets []int   // reads of Secrets Manager, one call each
	batches [][]int // reads of Parameter Store, one call a batch
}

func plan(objects []Object) fetchPlan {
	p := fetchPlan{of: make([]int, len(objects))}
	seen := map[read]int{}
	var parameters []int
	for i, o := range objects {
		r := read{kind: o.Type, name: o.Name, version: o.Version, label: o.Label}
		at, ok := seen[r]
		if !ok {
			at = len(p.reads)
			seen[r] = at
			p.reads = append(p.reads, r)
			if r.kind == SSMParameter {
				parameters = append(parameters, at)
			} else {
				p.secrets = append(p.secrets, at)
			}
		}
		p.of[i] = at
	}
	p.batches = batchParameters(p.reads, parameters)
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
