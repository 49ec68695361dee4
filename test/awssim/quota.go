package awssim

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Quota limits how often an operation is called, as AWS does: the account has a
// bucket of tokens in each Region, and a call takes one. A call that finds none
// is refused with the service's throttling error. ("Request throttling" in the
// Amazon EC2 API reference describes the bucket, "AWS Secrets Manager quotas"
// says that the rates apply per account and Region.) A call without a valid
// signature and one that a Fault hits take no token.
type Quota struct {
	// Service and Operation are named as in Fault. Both are required.
	Service   string `json:"service"`
	Operation string `json:"operation"`
	// Rate is how many tokens come into the bucket per second; 0 = no quota.
	Rate float64 `json:"rate"`
	// Burst is how many tokens the bucket holds, at first too; 0 = those of one
	// second, at least one.
	Burst int `json:"burst,omitempty"`
}

// faultServices are the names of the services in Fault and Quota.
var faultServices = []string{serviceSTS, "secretsmanager", "ssm", servicePodIdentity}

// check gives the quota with its defaults.
func (q Quota) check() (Quota, error) {
	switch {
	case !slices.Contains(faultServices, q.Service):
		return q, fmt.Errorf("service %q is none of %q", q.Service, faultServices)
	case q.Operation == "":
		return q, fmt.Errorf("the operation is required")
	case q.Rate < 0 || math.IsNaN(q.Rate) || math.IsInf(q.Rate, 0) || q.Burst < 0:
		return q, fmt.Errorf("rate %g and burst %d must be finite and not negative", q.Rate, q.Burst)
	}
	if q.Burst == 0 {
		q.Burst = max(1, int(math.Ceil(q.Rate)))
	}
	return q, nil
}

// operationKey identifies an operation of a service.
type operationKey struct{ service, operation string }

// quotaTable holds the quotas and their buckets.
type quotaTable struct {
	mu      sync.Mutex
	buckets map[operationKey]*quotaBuckets
}

// quotaBuckets are the buckets of one quota. Each is made, full, at the first
// call in its Region.
type quotaBuckets struct {
	quota   Quota
	regions map[string]*rate.Limiter
}

// set adds a quota, or replaces the one of the same operation. The new buckets
// are full.
func (t *quotaTable) set(q Quota) error {
	q, err := q.check()
	if err != nil {
		return fmt.Errorf("quota: %w", err)
	}
	key := operationKey{q.Service, q.Operation}
	t.mu.Lock()
	defer t.mu.Unlock()
	if q.Rate == 0 {
		delete(t.buckets, key)
		return nil
	}
	if t.buckets == nil {
		t.buckets = map[operationKey]*quotaBuckets{}
	}
	t.buckets[key] = &quotaBuckets{quota: q, regions: map[string]*rate.Limiter{}}
	return nil
}

// take uses one token of the call's bucket. Where there is none it gives the
// error of the service.
func (t *quotaTable) take(now time.Time, service, operation, region string) *apiError {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.buckets[operationKey{service, operation}]
	if b == nil {
		return nil
	}
	bucket := b.regions[region]
	if bucket == nil {
		bucket = rate.NewLimiter(rate.Limit(b.quota.Rate), b.quota.Burst)
		b.regions[region] = bucket
	}
	if bucket.AllowN(now, 1) {
		return nil
	}
	return throttled(service)
}

// throttled is what a service answers to a call above its quota. The JSON
// services and EKS Auth have ThrottlingException in their error lists; STS
// answers Throttling.
func throttled(service string) *apiError {
	e := badRequest("ThrottlingException", "Rate exceeded")
	switch service {
	case serviceSTS:
		e.Code = "Throttling"
	case servicePodIdentity:
		e.Status = http.StatusTooManyRequests
	}
	return e
}
