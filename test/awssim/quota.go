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

// Quota limits the call rate of an operation. As in AWS, the account has a token
// bucket per Region, and each call takes a token. Without a token, the service
// returns its throttling error. A call without a valid signature, or with a
// Fault, takes no token. Sources: "Request throttling" in the Amazon EC2 API
// reference for the bucket, "AWS Secrets Manager quotas" for rates per account
// and Region.
type Quota struct {
	// Service and Operation are required. Names as in Fault.
	Service   string `json:"service"`
	Operation string `json:"operation"`
	// Rate is the number of new tokens per second; 0 = no quota.
	Rate float64 `json:"rate"`
	// Burst is the size of the bucket, which starts full. Default: the tokens
	// of one second, at least one.
	Burst int `json:"burst,omitempty"`
}

// faultServices are the valid services in Fault and Quota.
var faultServices = []string{serviceSTS, "secretsmanager", "ssm", servicePodIdentity}

// check validates the quota and sets defaults.
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

// quotaBuckets holds one bucket per Region. The first call in a Region creates
// it, full.
type quotaBuckets struct {
	quota   Quota
	regions map[string]*rate.Limiter
}

// set adds or replaces the quota of an operation. The new buckets are full.
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

// take takes a token from the call's bucket. Without a token, it returns the
// service's error.
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

// throttled is the error for a call above the quota. The JSON services and EKS
// Auth list ThrottlingException as an error. STS returns Throttling.
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
