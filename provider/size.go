package provider

import (
	"fmt"
	"sync"

	"secrets-provider-aws/internal/fault"
)

// size adds up the values that one region gives a volume, so that reading stops as soon as they cannot fit.
type size struct {
	limit    int // bytes of a volume
	failover bool
	exceeded chan struct{} // closed once the values of either region exceed limit
	once     *sync.Once    // closes exceeded

	mu      sync.Mutex
	values  int
	bytes   int // of the files that hold whole values: a volume has more where a jmesPath selects from them
	largest object
	most    int // bytes of largest
}

// newSizes makes the sizes of the primary and the failover region.
func newSizes(limit int) (primary, failover *size) {
	exceeded, once := make(chan struct{}), &sync.Once{}
	return &size{limit: limit, exceeded: exceeded, once: once}, &size{limit: limit, exceeded: exceeded, once: once, failover: true}
}

// add counts a value of so many bytes, which so many files hold.
func (s *size) add(o object, files, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values++
	s.bytes += files * bytes
	if bytes > s.most {
		s.largest, s.most = o, bytes
	}
	if s.bytes > s.limit {
		s.once.Do(func() { close(s.exceeded) })
	}
}

// err is a fault once the values exceed the limit. all is how many values the volume has.
func (s *size) err(region string, all int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bytes <= s.limit {
		return nil
	}
	e := fault.TooLarge(fmt.Sprintf("its files take %d bytes after %d of %d values, the CSI driver accepts %d; the largest is %s %s with %d",
		s.bytes, s.values, all, s.limit, s.largest.kind.Noun(), fault.Quote(s.largest.name), s.most))
	e.Region, e.Failover = region, s.failover
	return e
}
