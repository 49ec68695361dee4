package provider

import "sync"

// shares counts what the cache holds for each tenant. A tenant that exceeds its share has its own values evicted, so
// that a flood of one tenant's values leaves those of others.
type shares struct {
	limit int64 // bytes of one tenant

	mu      sync.Mutex
	tenants map[string]int64 // bytes; no entry is 0
}

// perTenant is the part of the cache that one tenant may fill: one in so many.
const perTenant = 4

func newShares(cacheBytes int) *shares {
	return &shares{limit: int64(cacheBytes / perTenant), tenants: map[string]int64{}}
}

// add counts bytes of a record that the cache holds, and remove those of one that it no longer holds.
func (s *shares) add(tenant string, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tenants[tenant] += bytes; s.tenants[tenant] == 0 {
		delete(s.tenants, tenant)
	}
}

func (s *shares) remove(tenant string, bytes int64) { s.add(tenant, -bytes) }

// excess is how much a tenant has too much: 0 within its share. Over it, an eighth of the share goes too, so that the
// next values find room without another search for the oldest.
func (s *shares) excess(tenant string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if bytes := s.tenants[tenant]; bytes > s.limit {
		return bytes - s.limit*7/8
	}
	return 0
}
