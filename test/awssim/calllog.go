package awssim

import (
	"maps"
	"sync"
)

// Call is one request that reached an operation. Failed requests are included.
type Call struct {
	Service   string `json:"service"` // "sts", "secretsmanager", "ssm", "pod-identity"
	Operation string `json:"operation"`
	Region    string `json:"region"`    // "" when the request names none
	Object    string `json:"object"`    // requested names, ARNs, path or filters, as in the request
	Principal string `json:"principal"` // role session or user ARN; "" when not authenticated
	Status    int    `json:"status"`    // HTTP status; 0 = no response (yet, or ever)
	Code      string `json:"code"`      // AWS error code; "" = success
	UserAgent string `json:"userAgent"`
}

// callLog keeps the calls in the order of their arrival.
type callLog struct {
	mu     sync.Mutex
	calls  []*Call
	counts map[string]int
}

// begin adds a call on arrival, so that a hanging call is visible too.
func (l *callLog) begin(c Call) *Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		l.counts = map[string]int{}
	}
	entry := &c
	l.calls = append(l.calls, entry)
	l.counts[c.Service+":"+c.Operation]++
	return entry
}

// update changes an entry while holding the lock.
func (l *callLog) update(entry *Call, change func(*Call)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(entry)
}

func (l *callLog) snapshot() []Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Call, len(l.calls))
	for i, c := range l.calls {
		out[i] = *c
	}
	return out
}

func (l *callLog) countsCopy() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		return map[string]int{}
	}
	return maps.Clone(l.counts)
}

func (l *callLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls, l.counts = nil, nil
}
