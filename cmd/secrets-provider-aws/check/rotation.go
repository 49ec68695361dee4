package check

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"secrets-provider-aws/provider/class"
)

// usdPer10000 is AWS's price of 10,000 calls of Secrets Manager in most regions, in USD.
const usdPer10000 = 0.05

// Rotation is what rotation costs, by the formula in docs/reference.md. Each node is assumed to run pods of each ServiceAccount.
type Rotation struct {
	Nodes       int            `json:"nodes"`
	Costs       []RotationCost `json:"costs"` // in the order of the manifests
	ReadsPerDay int64          `json:"readsPerDay"`
	USDPerMonth float64        `json:"usdPerMonth"` // of 30 days
}

// RotationCost is the cost of the secrets that the pods of one ServiceAccount read at one interval.
type RotationCost struct {
	ServiceAccount  string  `json:"serviceAccount"` // NAMESPACE/SERVICE_ACCOUNT, with these words for what is unknown
	Mode            Mode    `json:"mode"`           // with podIdentity the cost is that of one pod on each node
	Secrets         int     `json:"secrets"`        // in Secrets Manager, without pinned versions; a selection counts as one for each 20 of its maxObjects
	RefreshInterval string  `json:"refreshInterval"`
	ReadsPerDay     int64   `json:"readsPerDay"`
	USDPerMonth     float64 `json:"usdPerMonth"`
}

// read identifies what the pods of one identity read once per interval.
type read struct {
	by                    subject
	mode                  Mode
	role, assumed, region string
	name, version, label  string
	tags                  string // of a selection
	calls                 int    // 1, or the pages of the most secrets that a selection may find
}

// secretsPerPage is the limit of BatchGetSecretValue (Secrets Manager API reference).
const secretsPerPage = 20

// rotation counts the secrets of each ServiceAccount. Parameters of SSM are free at the default throughput.
func (ck *checker) rotation() *Rotation {
	if ck.options.Nodes == 0 {
		return nil
	}
	var reads unique[read]
	intervals := map[read]time.Duration{} // the shortest of the classes that read it
	for _, u := range ck.uses() {
		mode := WebIdentity
		if u.class.PodIdentity {
			mode = PodIdentity
		}
		interval := cmp.Or(u.class.RefreshInterval, ck.options.RefreshInterval)
		for _, o := range u.class.Objects {
			if pinned := o.Version != "" && o.Label == ""; pinned || o.Type != class.SecretsManager {
				continue
			}
			r := read{
				by: u.by, mode: mode, role: u.class.RoleARN, assumed: u.class.AssumeRoleARN, region: u.class.RegionOf(o),
				name: o.Name, version: o.Version, label: o.Label, calls: 1,
			}
			if s := o.Selection; s != nil {
				r.tags, r.calls = fmt.Sprintf("%q", s.Tags), (s.Max+secretsPerPage-1)/secretsPerPage
			}
			reads.add(r)
			intervals[r] = min(cmp.Or(intervals[r], interval), interval)
		}
	}
	out := &Rotation{Nodes: ck.options.Nodes, Costs: []RotationCost{}}
	rows := map[RotationCost]int{} // without its counts → index in Costs
	for _, r := range reads.list {
		interval := intervals[r]
		row := RotationCost{
			ServiceAccount:  qualified(cmp.Or(r.by.namespace, unknownNamespace), cmp.Or(r.by.account, unknownServiceAccount)),
			Mode:            r.mode,
			RefreshInterval: short(interval),
		}
		i, known := rows[row]
		if !known {
			i = len(out.Costs)
			rows[row] = i
			out.Costs = append(out.Costs, row)
		}
		c := &out.Costs[i]
		c.Secrets += r.calls
		c.ReadsPerDay = int64(math.Round(float64(out.Nodes*c.Secrets) * (24 * time.Hour).Seconds() / interval.Seconds()))
		c.USDPerMonth = perMonth(c.ReadsPerDay)
	}
	for _, c := range out.Costs {
		out.ReadsPerDay += c.ReadsPerDay
	}
	out.USDPerMonth = perMonth(out.ReadsPerDay)
	return out
}

// perMonth is the price of the reads of 30 days, in USD and whole cents.
func perMonth(readsPerDay int64) float64 {
	return math.Round(float64(readsPerDay)*30/10_000*usdPer10000*100) / 100
}

// short is the duration without the units that are zero: 2m, not 2m0s.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func (r *Rotation) print(b *strings.Builder) {
	fmt.Fprintf(b, "Rotation on %s, if each runs pods of each ServiceAccount: nodes × secrets × 1 day / interval\n", count(r.Nodes, "node"))
	table := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	podIdentity := false
	for _, c := range r.Costs {
		each := ""
		if c.Mode == PodIdentity {
			podIdentity, each = true, " (one pod per node)"
		}
		fmt.Fprintf(table, "  %s%s\t%s\tevery %s\t%s\t%s\n", c.ServiceAccount, each, count(c.Secrets, "secret"), c.RefreshInterval, c.reads(), usd(c.USDPerMonth))
	}
	_ = table.Flush() // into memory
	fmt.Fprintf(b, "In all %s reads per day, %s, at %.2f USD per 10,000 reads. Parameters of SSM are free at the default throughput.\n",
		thousands(r.ReadsPerDay), usd(r.USDPerMonth), usdPer10000)
	if podIdentity {
		b.WriteString("With EKS Pod Identity each further pod costs as much again.\n")
	}
	b.WriteByte('\n')
}

func (c RotationCost) reads() string { return thousands(c.ReadsPerDay) + " reads per day" }

func usd(amount float64) string {
	cents := int64(math.Round(amount * 100))
	return fmt.Sprintf("%s.%02d USD per month", thousands(cents/100), cents%100)
}

// thousands writes a number with commas.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
