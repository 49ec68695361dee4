package main

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// place is an object in a region.
type place struct{ region, name string }

// ledger is what AWS has held, and when. A value that an identity may not read counts as gone meanwhile.
type ledger struct {
	mu      sync.Mutex
	history map[place][]stand
}

// stand is a stretch of time in which a value could be read. Both ends are as generous as they can be: from is
// before the call that put the value there, and to after the one that took it away.
type stand struct {
	number   int
	from, to time.Time // to is zero while it stands
}

func newLedger() *ledger { return &ledger{history: map[place][]stand{}} }

// begin enters a new value of the place, and gives its number. end must be called once AWS has it.
func (l *ledger) begin(p place, now time.Time) (number int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	number = l.last(p) + 1
	l.history[p] = append(l.history[p], stand{number: number, from: now})
	return number
}

// end says that AWS has the place's newest value, and no older one.
func (l *ledger) end(p place, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.history[p]
	for i := range all[:len(all)-1] {
		if all[i].to.IsZero() {
			all[i].to = now
		}
	}
}

// last is the number of the newest value.
func (l *ledger) last(p place) int {
	if all := l.history[p]; len(all) > 0 {
		return all[len(all)-1].number
	}
	return 0
}

// deny says that what the place holds cannot be read any more.
func (l *ledger) deny(p place, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, s := range l.history[p] {
		if s.to.IsZero() {
			l.history[p][i].to = now
		}
	}
}

// allow says that it can be read again.
func (l *ledger) allow(p place, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.history[p] = append(l.history[p], stand{number: l.last(p), from: now})
}

// newest is when value number of the place could be read last: until, or earlier where something took its place
// before. ok is false where it could not be read by then at all.
func (l *ledger) newest(p place, number int, until time.Time) (at time.Time, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.history[p] {
		if s.number != number || s.from.After(until) {
			continue
		}
		end := s.to
		if end.IsZero() || end.After(until) {
			end = until
		}
		if end.After(at) {
			at = end
		}
		ok = true
	}
	return at, ok
}

// content of a place's value: it names the place and the number, and its rest follows from them, so that one
// that is torn or mixed shows.
func content(p place, number int) string {
	head := p.region + " " + p.name + " " + strconv.Itoa(number) + " "
	size := 50 + (number*997+len(p.name)*131)%1500 // bytes
	return head + strings.Repeat(strconv.Itoa(number)+".", size/4)
}

// parse reads a content.
func parse(text string) (p place, number int, err error) {
	parts := strings.SplitN(text, " ", 4)
	if len(parts) != 4 {
		return place{}, 0, fmt.Errorf("%d bytes that are no value of ours", len(text))
	}
	p = place{parts[0], parts[1]}
	if number, err = strconv.Atoi(parts[2]); err != nil {
		return place{}, 0, fmt.Errorf("%d bytes that are no value of ours", len(text))
	}
	if text != content(p, number) {
		return place{}, 0, fmt.Errorf("value %d of %s in %s is torn: %d bytes", number, p.name, p.region, len(text))
	}
	return p, number, nil
}
