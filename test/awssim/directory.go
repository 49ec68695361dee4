package awssim

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Session lengths. Source: STS API reference, AssumeRole and
// AssumeRoleWithWebIdentity, parameter DurationSeconds.
const (
	defaultSession = time.Hour
	shortestMax    = time.Hour
	longestMax     = 12 * time.Hour
)

// directory is the simulator's IAM: roles, identity providers and Pod Identity
// associations. Entries are immutable. An update replaces them.
type directory struct {
	account string

	mu           sync.RWMutex
	roles        map[string]*role // by ARN
	providers    map[providerKey]*oidcProvider
	associations map[subject]PodIdentityAssociation
}

type providerKey struct{ partition, account, issuer string }

// subject is a ServiceAccount.
type subject struct{ namespace, serviceAccount string }

// role is a checked Role.
type role struct {
	arn, name, account, partition string
	id                            string // AROA…
	trust                         *policy
	policies                      []*policy
	inline                        map[string]*policy // of PutRolePolicy, by name
	maxSession                    time.Duration
	tags                          map[string]string
}

// roleARN splits into partition, account, path and name.
var roleARN = regexp.MustCompile(`^arn:(aws[a-z-]*):iam::([0-9]{12}):role(/(?:[\x21-\x7e]*/)?)([\w+=,.@-]{1,64})$`)

func newDirectory(account string, state State) (*directory, error) {
	if !accountPattern.MatchString(account) {
		return nil, fmt.Errorf("account %q is not 12 digits", account)
	}
	d := &directory{
		account:      account,
		roles:        map[string]*role{},
		providers:    map[providerKey]*oidcProvider{},
		associations: map[subject]PodIdentityAssociation{},
	}
	for _, p := range state.OIDCProviders {
		if err := d.putProvider(p); err != nil {
			return nil, err
		}
	}
	for _, r := range state.Roles {
		if err := d.putRole(r, false); err != nil {
			return nil, err
		}
	}
	for _, a := range state.PodIdentityAssociations {
		if err := d.putAssociation(a); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// putRole validates and stores a role.
func (d *directory) putRole(r Role, replace bool) error {
	checked, err := d.checkRole(r)
	if err != nil {
		return fmt.Errorf("role %s: %w", r.Name+r.ARN, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, exists := d.roles[checked.arn]; exists && !replace {
		return fmt.Errorf("role %s exists already", checked.arn)
	}
	d.roles[checked.arn] = checked
	return nil
}

func (d *directory) checkRole(r Role) (*role, error) {
	arn := r.ARN
	if arn == "" {
		path := r.Path
		if path == "" {
			path = "/"
		}
		arn = "arn:aws:iam::" + d.account + ":role" + path + r.Name
	}
	parts := roleARN.FindStringSubmatch(arn)
	if parts == nil {
		return nil, fmt.Errorf("%s is not the ARN of a role", arn)
	}
	if r.ARN != "" && (r.Name != "" && r.Name != parts[4] || r.Path != "" && r.Path != parts[3]) {
		return nil, fmt.Errorf("name and path do not agree with the ARN %s", arn)
	}
	out := &role{
		arn: arn, partition: parts[1], account: parts[2], name: parts[4],
		id:         uniqueID("AROA", arn),
		maxSession: time.Duration(r.MaxSessionDuration) * time.Second,
		tags:       r.Tags,
	}
	if r.MaxSessionDuration == 0 {
		out.maxSession = defaultSession
	}
	if out.maxSession < shortestMax || out.maxSession > longestMax {
		return nil, fmt.Errorf("maxSessionDuration %d is not in 3600..43200", r.MaxSessionDuration)
	}
	var err error
	if r.TrustPolicy != "" {
		if out.trust, err = parsePolicy(r.TrustPolicy, true); err != nil {
			return nil, fmt.Errorf("trust policy: %w", err)
		}
	}
	out.policies, err = parsePermissions(r.Policies)
	return out, err
}

func (d *directory) removeRole(nameOrARN string) error {
	arn := nameOrARN
	d.mu.Lock()
	defer d.mu.Unlock()
	if !strings.HasPrefix(arn, "arn:") {
		for _, r := range d.roles {
			if r.name == nameOrARN && r.account == d.account {
				arn = r.arn
			}
		}
	}
	if _, ok := d.roles[arn]; !ok {
		return fmt.Errorf("there is no role %s", nameOrARN)
	}
	delete(d.roles, arn)
	return nil
}

// role returns the role with the ARN, or nil.
func (d *directory) role(arn string) *role {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.roles[arn]
}

func (d *directory) putProvider(p OIDCProvider) error {
	if p.Account == "" {
		p.Account = d.account
	}
	if p.Partition == "" {
		p.Partition = "aws"
	}
	checked, err := newOIDCProvider(p)
	if err != nil {
		return fmt.Errorf("OIDC provider %q: %w", p.Issuer, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.providers[providerKey{p.Partition, p.Account, p.Issuer}] = checked
	return nil
}

func (d *directory) removeProvider(partition, account, issuer string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.providers, providerKey{partition, account, issuer})
}

// provider returns an account's provider for an issuer, or nil.
func (d *directory) provider(partition, account, issuer string) *oidcProvider {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.providers[providerKey{partition, account, issuer}]
}

func (d *directory) putAssociation(a PodIdentityAssociation) error {
	if a.Namespace == "" || a.ServiceAccount == "" || !roleARN.MatchString(a.RoleARN) {
		return fmt.Errorf("pod identity association %s/%s: namespace, serviceAccount and a role's ARN are required", a.Namespace, a.ServiceAccount)
	}
	if a.ClusterName == "" {
		a.ClusterName = "awssim"
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.associations[subject{a.Namespace, a.ServiceAccount}] = a
	return nil
}

func (d *directory) association(who subject) (PodIdentityAssociation, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	a, ok := d.associations[who]
	return a, ok
}

// policiesOf returns the principal's current policies, or false if its role no
// longer exists.
func (d *directory) policiesOf(who principal) ([]*policy, bool) {
	if who.roleARN == "" {
		return who.policies, true
	}
	r := d.role(who.roleARN)
	if r == nil {
		return nil, false
	}
	return slices.AppendSeq(slices.Clone(r.policies), maps.Values(r.inline)), true
}

// authorize returns nil if the principal's policies allow the action.
func (d *directory) authorize(who principal, action, resource string, request contextKeys) *apiError {
	policies, _ := d.policiesOf(who)
	if result := decideIdentity(policies, action, resource, request); result != allow {
		return denied(who, action, resource, result)
	}
	return nil
}

// uniqueID returns an IAM unique identifier. The same entity always gets the
// same one. Source: IAM User Guide, "IAM identifiers", "Unique identifiers".
func uniqueID(prefix, of string) string {
	sum := sha256.Sum256([]byte(of))
	return prefix + base32.StdEncoding.EncodeToString(sum[:])[:17]
}
