package provider

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"secrets-provider-aws/internal/bytebudget"
	"secrets-provider-aws/provider/class"
	"secrets-provider-aws/provider/volume"
)

// Owner is the identity that values belong to, written so that no two are alike. It is the only key
// under which values are shared.
type Owner string

// Credentials are those of one owner. They are retrieved only for a call to AWS.
type Credentials interface {
	aws.CredentialsProvider
	// Forget drops the credentials of Retrieve, because AWS no longer accepts them.
	Forget()
}

// Request describes one volume to fetch.
type Request struct {
	Owner       Owner
	Tenant      string // who shares calls, cache and memory with the other tenants: the ServiceAccount, of which a pod author cannot have many
	Volume      string // names the volume from its first mount to its last republish; empty: each mount is a first one
	Class       class.Class
	Credentials Credentials
	MaxBytes    int                 // of all files together
	Memory      *bytebudget.Account // what the request may hold; the caller closes it
}

// File is one file of a volume.
type File = volume.File

// Content is what a file or a value holds.
type Content = volume.Content

// Result is the content of a volume and where it came from.
type Result struct {
	Files []File
	Sources
	Oldest  time.Time // when the value that was read longest ago was read; pinned versions do not count; zero: all are pinned
	Instead error     // why values are stale or of the failover region; nil: none is
}

// Sources counts the values of a volume by where they came from.
type Sources struct {
	Read     int // from AWS, by this request or an equal one at the same time
	Cached   int // from the cache, fresh
	Failover int // of the failover region, because the primary region failed
	Stale    int // last known values from the cache, because AWS failed
}

// mount is one mount request, as far as freshness and failover depend on it.
type mount struct {
	arrived  time.Time
	first    bool // the volume was not mounted before
	failover bool // the volume has a second region
	interval time.Duration
}

// readsBoth reports whether both regions are read at once. A first mount does, so that a mistake in the
// failover region shows before that region is needed. A republish reads it only when the primary region fails.
func (m mount) readsBoth() bool { return m.first && m.failover }
