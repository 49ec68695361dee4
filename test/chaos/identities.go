package main

import (
	"fmt"
	"sync"

	"secrets-provider-aws/test/awssim"
)

// The cluster's and the account's names.
const (
	region         = "eu-central-1"
	failoverRegion = "eu-west-1"
	audience       = "sts.amazonaws.com"
	nodeName       = "node-1"
)

// identity is a ServiceAccount with a role.
type identity struct {
	namespace, serviceAccount string
	role                      string // name; two ServiceAccounts may share one
	roleInClass               bool   // the class names the role, not the annotation
	failover                  bool   // the class names failoverRegion
}

// identities of the cluster. Some names are equal but for the namespace: what must be told apart is the pair.
var identities = []identity{
	{namespace: "shop", serviceAccount: "web", role: "shop-web"},
	{namespace: "shop", serviceAccount: "worker", role: "shop-worker", failover: true},
	{namespace: "bank", serviceAccount: "web", role: "bank-web"},
	{namespace: "bank", serviceAccount: "worker", role: "bank-worker", failover: true},
	{namespace: "lab", serviceAccount: "web", role: "lab", roleInClass: true},
	{namespace: "lab", serviceAccount: "worker", role: "lab"},
	{namespace: "lab", serviceAccount: "batch", role: "lab", failover: true},
	{namespace: "ops", serviceAccount: "web", role: "ops", roleInClass: true, failover: true},
}

func (i identity) name() string { return i.namespace + "/" + i.serviceAccount }
func (i identity) roleARN() string {
	return "arn:aws:iam::" + awssim.DefaultAccount + ":role/" + i.role
}

// regions that a volume of the identity may be served from, the primary one first.
func (i identity) regions() []string {
	if i.failover {
		return []string{region, failoverRegion}
	}
	return []string{region}
}

// object is a secret or a parameter.
type object struct {
	identity  int
	name      string // in AWS
	file      string
	parameter bool
}

// objects of all identities. Each has three secrets and a parameter, in both regions.
var objects = sync.OnceValue(func() []object {
	var out []object
	for i, id := range identities {
		for _, what := range []string{"db", "key", "token"} {
			out = append(out, object{identity: i, name: id.name() + "/" + what, file: what})
		}
		out = append(out, object{identity: i, name: "/" + id.name() + "/url", file: "url", parameter: true})
	}
	return out
})

// objectsOf are those of one identity.
func objectsOf(identity int) []object {
	var out []object
	for _, o := range objects() {
		if o.identity == identity {
			out = append(out, o)
		}
	}
	return out
}

func (o object) entry() string {
	kind := "secretsmanager"
	if o.parameter {
		kind = "ssmparameter"
	}
	return fmt.Sprintf("- {objectName: %q, objectType: %s, objectAlias: %s}\n", o.name, kind, o.file)
}

// stranger is an identity with another role, and so without a right to what is i's.
func stranger(i int) int {
	for n := 1; ; n++ {
		if other := (i + n) % len(identities); identities[other].role != identities[i].role {
			return other
		}
	}
}
