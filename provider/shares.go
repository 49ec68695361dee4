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

// add notes a record, and gives its place for remove.
func (s *shares) add(tenant string, k key, bytes int64) *list.Element {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenants[tenant]
	if t == nil {
		t = &share{}
		s.tenants[tenant] = t
	}
	t.bytes += bytes
	return t.records.PushBack(cached{k, bytes})
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

// remove notes that the cache no longer holds the record of a place.
func (s *shares) remove(tenant string, place *list.Element) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tenants[tenant]
	if t == nil {
		return
	}
	old, _ := t.records.Remove(place).(cached)
	t.bytes -= old.bytes
	if t.records.Len() == 0 {
		delete(s.tenants, tenant)
	}
}
