package check

import (
	"regexp"
	"slices"
	"strings"

	"secrets-provider-aws/provider/class"
)

// read adds the objects that a class reads, in both of its regions.
func (r *role) read(c class.Class) {
	for _, o := range c.Objects {
		if o.Selection != nil {
			r.selectIn(c.RegionOf(o), o)
			continue
		}
		r.readIn(c.RegionOf(o), o.Type, o.Name)
	}
	if c.FailoverRegion == "" {
		return
	}
	for _, o := range c.Objects {
		switch {
		case o.Selection != nil:
			r.selectIn(c.FailoverRegion, o)
		case o.Failover != nil:
			r.readIn(c.FailoverRegion, o.Type, o.Failover.Name)
		default:
			r.readIn(c.FailoverRegion, o.Type, o.Name)
		}
	}
}

// completeRE matches the end of a secret's complete ARN. Secrets Manager treats every such ARN as complete.
var completeRE = regexp.MustCompile(`-[A-Za-z0-9]{6}$`)

// suffix matches the hyphen and six characters that Secrets Manager appends to a secret's name.
const suffix = "-??????"

func (r *role) readIn(region string, kind class.Type, name string) {
	whole := strings.HasPrefix(name, "arn:")
	resource := literal(name)
	switch {
	case kind == class.SSMParameter && !whole:
		resource = r.prefix(region, kind) + strings.TrimPrefix(resource, "/")
	case kind == class.SSMParameter:
	case !whole:
		resource = r.prefix(region, kind) + resource + suffix
	case !completeRE.MatchString(name):
		resource += suffix
	}
	if kind == class.SSMParameter {
		r.parameters.add(resource)
	} else {
		r.secrets.add(resource)
	}
}

// prefix is the ARN of an object without its name.
func (r *role) prefix(region string, kind class.Type) string {
	service, resource := "secretsmanager", ":secret:"
	if kind == class.SSMParameter {
		service, resource = "ssm", ":parameter/"
	}
	return "arn:" + r.partition + ":" + service + ":" + r.or(region, unknownRegion) + ":" + r.or(r.account, unknownAccount) + resource
}

// literal escapes the characters that IAM would read as a wildcard or a variable.
func literal(name string) string {
	return strings.NewReplacer("*", "${*}", "?", "${?}", "$", "${$}").Replace(name)
}

// withoutCovered removes complete ARNs that the pattern of a name covers.
func withoutCovered(resources []string) []string {
	patterns := map[string]bool{}
	for _, r := range resources {
		if strings.HasSuffix(r, suffix) {
			patterns[r] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(resources), func(r string) bool {
		return completeRE.MatchString(r) && patterns[r[:len(r)-len(suffix)]+suffix]
	})
}

// selected collects what a role needs for selections.
type selected struct {
	paths    unique[string] // resources of parameters: the paths, which AWS checks instead of the parameters below
	prefixes unique[string] // resources of secrets that are selected by name only
	tags     []tagged       // the others
}

// tagged is a selection of secrets with tags.
type tagged struct {
	resource string
	tags     []class.Tag
}

// selectIn adds a selection.
func (r *role) selectIn(region string, o class.Object) {
	s := o.Selection
	if o.Type == class.SSMParameter {
		r.selected.paths.add(r.prefix(region, o.Type) + literal(strings.TrimPrefix(s.Path(), "/")))
		return
	}
	resource := r.prefix(region, o.Type) + literal(s.Prefix) + "*"
	if len(s.Tags) == 0 {
		r.selected.prefixes.add(resource)
		return
	}
	t := tagged{resource: resource, tags: s.Tags}
	if !slices.ContainsFunc(r.selected.tags, func(other tagged) bool { return other.resource == resource && slices.Equal(other.tags, t.tags) }) {
		r.selected.tags = append(r.selected.tags, t)
	}
}

// withSecrets adds the prefixes to the resources of secrets, and removes those that a prefix covers.
func (s *selected) withSecrets(resources []string) []string {
	covered := func(resource string) bool {
		return slices.ContainsFunc(s.prefixes.list, func(prefix string) bool {
			return resource != prefix && strings.HasPrefix(resource, strings.TrimSuffix(prefix, "*"))
		})
	}
	return slices.DeleteFunc(append(slices.Clone(resources), s.prefixes.list...), covered)
}

// tagged lists the statements for selections with tags, and for the calls that list secrets: these know no resource (Service
// Authorization Reference, "Actions, resources, and condition keys for AWS Secrets Manager").
func (s *selected) tagged() []Statement {
	var list []Statement
	for _, t := range s.tags {
		tags := map[string]oneOrMore{}
		for _, tag := range t.tags {
			tags["secretsmanager:ResourceTag/"+tag.Key] = oneOrMore{tag.Value}
		}
		list = append(list, Statement{
			Effect: "Allow", Action: oneOrMore{class.SecretsManager.Action()}, Resource: []string{t.resource}, Condition: map[string]map[string]oneOrMore{"StringEquals": tags},
		})
	}
	if len(s.tags)+len(s.prefixes.list) > 0 {
		list = append(list, Statement{Effect: "Allow", Action: oneOrMore{"secretsmanager:BatchGetSecretValue", "secretsmanager:ListSecrets"}, Resource: []string{"*"}})
	}
	return list
}
