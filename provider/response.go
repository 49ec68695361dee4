package provider

import (
	"time"

	"secrets-provider-aws/provider/volume"
)

// result is what AWS gave for one object.
type result struct {
	value volume.Value
	err   error // a *fault.Error
}

// response is one value, or why there is none.
type response struct {
	value  volume.Value
	err    error
	read   time.Time // when the read that gave value started
	source source    // of value
}

// source says where a value came from.
type source string

const (
	sourceAWS   source = "aws"   // read by this request or an equal one
	sourceCache source = "cache" // fresh
	sourceStale source = "stale" // last known, because AWS failed
)
