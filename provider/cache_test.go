package provider

import (
	"fmt"
	"testing"
	"time"

	"secrets-provider-aws/provider/class"
	"secrets-provider-aws/provider/volume"
)

// A tenant over its share loses the values that were read longest ago, in whichever order they came, and no more than makes room.
func TestT16_TheOldestValuesGoFirst(t *testing.T) {
	const values = 100
	start := time.Now()
	c, err := newCache(4*values*2*(recordOverhead+1000), func() time.Time { return start })
	if err != nil {
		t.Fatal(err)
	}
	at := func(n int) key {
		return key{owner: "owner", region: "ap-south-1", object: object{kind: class.SecretsManager, name: fmt.Sprintf("%03d", n)}}
	}
	for i := range 2 * values {
		n := i * 7 % (2 * values) // not in the order of their age
		c.update("tenant", at(n), time.Hour, func(record) record {
			return record{value: volume.Value{Content: make(Content, 1000)}, read: start.Add(time.Duration(n) * time.Second)}
		})
	}
	c.update("other", key{owner: "other"}, time.Hour, func(record) record { return record{read: start} })
	kept, oldest := 0, -1
	for n := range 2 * values {
		if !c.record(target{key: at(n)}).read.IsZero() {
			kept++
			if oldest < 0 {
				oldest = n
			}
		}
	}
	// The last eviction leaves seven eighths of the share; the values after it add up to an eighth.
	if kept < values*3/4 || kept > values {
		t.Errorf("%d values are kept of a share of %d", kept, values)
	}
	if c.record(target{key: at(2*values - 1)}).read.IsZero() {
		t.Error("the newest value was evicted")
	}
	if oldest < values/2 {
		t.Errorf("value %d of %d is kept, although newer ones were evicted", oldest, 2*values)
	}
	if c.record(target{key: key{owner: "other"}}).read.IsZero() {
		t.Error("a value of another tenant was evicted")
	}
}
