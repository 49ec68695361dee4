package provider

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/class"
	"secrets-provider-aws/provider/volume"
)

// selecting is a selection while it is read.
type selecting struct {
	target  target
	members []volume.Member
	bytes   int
	pages   int
	failed  []error // of secrets that were selected and cannot be read
}

// maxPages is more pages than the members of a volume need. AWS may give pages that hold few of them, or none.
const maxPages = 60

// next reports whether there is another page, or refuses to read it.
func (s *selecting) next(token *string) (bool, error) {
	if aws.ToString(token) == "" {
		return false, nil
	}
	if s.pages++; s.pages < maxPages {
		return true, nil
	}
	return false, &fault.Error{
		Kind: fault.Content, What: s.target.what(), Region: s.target.region,
		Why:  fmt.Sprintf("%d pages of the list do not hold all that it selects", maxPages),
		Hint: "select fewer: write more of the beginning of the names, or a longer path",
	}
}

// take adds a member, or says why the selection ends.
func (s *selecting) take(name string, v volume.Value) error {
	s.members = append(s.members, volume.Member{Name: name, Value: v})
	if err := s.countTo(len(s.members)); err != nil {
		return err
	}
	if s.bytes += len(v.Content); s.bytes > s.target.size.limit {
		return fault.TooLarge(fmt.Sprintf("the first %d %ss of %s take %d bytes, the CSI driver accepts %d",
			len(s.members), s.target.kind.Noun(), fault.Quote(s.target.name), s.bytes, s.target.size.limit))
	}
	return nil
}

// countTo refuses more members than the selection may have.
func (s *selecting) countTo(n int) error {
	most := s.target.selected.Max
	if n <= most {
		return nil
	}
	return &fault.Error{
		Kind: fault.Content, What: s.target.what(), Region: s.target.region,
		Why:  fmt.Sprintf("it selects %d or more, and maxObjects is %d", n, most),
		Hint: "select fewer, or set maxObjects to as many as the volume needs",
	}
}

// has reports whether the selection has a secret of that name: a filter may match more.
func (s *selecting) has(name string) bool {
	return strings.HasPrefix(name, s.target.selected.Prefix)
}

// result is the value of the selection. err is why reading it has ended early.
func (s *selecting) result(err error) result {
	if err == nil {
		err = fault.Join(s.failed)
	}
	switch {
	case err != nil:
		return result{err: err}
	case len(s.members) == 0:
		return result{err: nothingSelected(s.target)}
	}
	slices.SortFunc(s.members, func(a, b volume.Member) int { return cmp.Compare(a.Name, b.Name) })
	return result{value: volume.Value{Members: s.members, Version: versionOf(s.members)}}
}

// versionOf changes with the names and the versions of members.
func versionOf(members []volume.Member) string {
	h := sha256.New()
	for _, m := range members {
		fmt.Fprintf(h, "%q %q\n", m.Name, m.Version)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// nothingSelected is a selection without a member.
func nothingSelected(t target) error {
	e := &fault.Error{Kind: fault.NotFound, What: t.what(), Region: t.region, Why: "it selects nothing"}
	e.Hint = "check the path, the region and the account; names are case-sensitive; set optional: true if it may be empty"
	if t.kind == class.SecretsManager {
		e.Hint = "check the beginning of the names, the tags, the region and the account; set optional: true if it may be empty"
	}
	return e
}
