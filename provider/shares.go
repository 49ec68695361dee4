package provider

import (
	"container/list"
	"sync"
)

// shares keeps what the cache holds for each tenant within a share, so that a flood of one tenant's values evicts its
// own values, and not those of others.
type shares struct {
	limit int64 // bytes of one tenant

	mu      sync.Mutex
	tenants map[string]*share
}

// share is what the cache holds for one tenant.
type share struct {
	bytes   int64
	records list.List // of cached, the longest unwritten first
	byKey   map[key]*list.Element
}

// cached is the size of one record.
type cached struct {
	key   key
	bytes int64
}

// perTenant is the part of the cache that one tenant may fill: one in so many.
const perTenant = 4

func newShares(cacheBytes int) *shares {
	return &shares{limit: int64(cacheBytes / perTenant), tenants: map[string]*share{}}
}

// set notes the size of a record, new or in place of another one of the same key.
func (s *shares) set(tenant string, k key, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenants[tenant]
	if t == nil {
		t = &share{byKey: map[key]*list.Element{}}
		s.tenants[tenant] = t
	}
	t.remove(k)
	t.byKey[k] = t.records.PushBack(cached{k, bytes})
	t.bytes += bytes
}

// excess gives the keys to evict so that a tenant is within its share.
func (s *shares) excess(tenant string) []key {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenants[tenant]
	if t == nil {
		return nil
	}
	var keys []key
	bytes := t.bytes
	for e := t.records.Front(); e != nil && bytes > s.limit; e = e.Next() {
		oldest, _ := e.Value.(cached)
		keys = append(keys, oldest.key)
		bytes -= oldest.bytes
	}
	return keys
}

// remove notes that the cache has dropped a record.
func (s *shares) remove(tenant string, k key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenants[tenant]
	if t == nil {
		return
	}
	t.remove(k)
	if len(t.byKey) == 0 {
		delete(s.tenants, tenant)
	}
}

func (t *share) remove(k key) {
	e, ok := t.byKey[k]
	if !ok {
		return
	}
	old, _ := t.records.Remove(e).(cached)
	delete(t.byKey, k)
	t.bytes -= old.bytes
}
