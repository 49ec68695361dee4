// AWS Secrets Manager: ListSecrets and BatchGetSecretValue.
//
// Sources: API reference of both operations; User Guide "Retrieve a group of
// secrets in a batch"; Service Authorization Reference: both are authorized on "*"
// only, and BatchGetSecretValue with filters also needs ListSecrets
// (external-secrets issue 4274 shows the denial of a policy with ARNs). A page is
// what ListSecrets would list. A listed secret that the caller may not read, or
// without a current value, takes its place in the page as an entry of Errors. The
// User Guide's exception, a VPC endpoint policy that denies one secret of a batch
// and thereby all, is out of scope: the simulator has no VPC endpoints.

package awssim

import (
	"cmp"
	"slices"
	"strings"
)

const maxSecretList = 100

// secretOrder orders the secrets of a listing by a key, then by name.
type secretOrder struct {
	by        string // created-date (also ""), last-accessed-date, last-changed-date or name
	ascending bool
}

// key returns the sort key of a secret: nanoseconds since 1970, or 0 for an order
// by name and for a secret that was never read.
func (o secretOrder) key(sec *secret) int64 {
	at := sec.created
	switch o.by {
	case "name":
		return 0
	case "last-accessed-date":
		at = sec.accessed
	case "last-changed-date":
		at = sec.changed
	}
	if at.IsZero() {
		return 0
	}
	return at.UnixNano()
}

func (o secretOrder) compare(keyA int64, nameA string, keyB int64, nameB string) int {
	order := cmp.Or(cmp.Compare(keyA, keyB), strings.Compare(nameA, nameB))
	if !o.ascending {
		return -order
	}
	return order
}

// secretListing is what ListSecrets and a filtered BatchGetSecretValue list.
type secretListing struct {
	filters secretFilters
	order   secretOrder
	deleted bool // include secrets that are scheduled for deletion
	size    int
	request []byte // see pageRequest
	token   *string
}

// page returns the secrets of one page, and the token of the next page.
func (s *secretStore) page(c *call, l secretListing) ([]*secret, string, *apiError) {
	after, err := s.tokens.open(l.request, l.token, c.Now)
	if err != nil {
		return nil, "", clientError("InvalidNextTokenException", "The NextToken value is invalid.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var listed []*secret
	for name := range s.regions[c.Region] {
		if sec := s.find(c.Region, name, c.Now); sec != nil && (l.deleted || sec.purgeAt.IsZero()) {
			listed = append(listed, sec)
		}
	}
	slices.SortFunc(listed, func(a, b *secret) int { return l.order.compare(l.order.key(a), a.name, l.order.key(b), b.name) })
	var out []*secret
	examined := 0
	for _, sec := range listed {
		key, match := l.order.key(sec), l.filters.hold(sec)
		switch {
		case after.Name != "" && l.order.compare(key, sec.name, after.Key, after.Name) <= 0:
			continue // on an earlier page
		case !match && s.scanLimit == 0:
			continue
		case len(out) == l.size || s.scanLimit > 0 && examined == s.scanLimit:
			return out, s.tokens.seal(l.request, after.Key, after.Name, c.Now), nil
		}
		after.Key, after.Name = key, sec.name
		examined++
		if match {
			out = append(out, sec)
		}
	}
	return out, "", nil
}

func (s *secretStore) listSecrets(c *call) (any, *apiError) {
	var in struct {
		Filters                      secretFilters
		IncludePlannedDeletion       bool
		MaxResults                   *int64
		NextToken, SortBy, SortOrder *string
	}
	if err := decodeInput(c.Body, &in); err != nil {
		return nil, err
	}
	c.Object = in.Filters.String()
	var limits constraints
	in.Filters.limits(&limits)
	limits.number("maxResults", in.MaxResults, 1, maxSecretList)
	limits.text("nextToken", in.NextToken, 1, 4096)
	limits.oneOf("sortBy", in.SortBy, "created-date", "last-accessed-date", "last-changed-date", "name")
	limits.oneOf("sortOrder", in.SortOrder, "asc", "desc")
	if err := limits.err(); err != nil {
		return nil, err
	}
	if err := c.Allowed("secretsmanager:ListSecrets", "*"); err != nil {
		return nil, err
	}
	if err := in.Filters.check(); err != nil {
		return nil, err
	}
	order := secretOrder{by: deref(in.SortBy), ascending: deref(in.SortOrder) == "asc"}
	page, next, err := s.page(c, secretListing{
		filters: in.Filters, order: order, deleted: in.IncludePlannedDeletion,
		size:  int(cmp.Or(deref(in.MaxResults), maxSecretList)),
		token: in.NextToken, request: pageRequest(c, "ListSecrets", in.Filters, order.by, order.ascending, in.IncludePlannedDeletion),
	})
	if err != nil {
		return nil, err
	}
	out := struct {
		SecretList []secretDescription
		NextToken  string `json:",omitempty"`
	}{SecretList: []secretDescription{}, NextToken: next}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sec := range page {
		entry := s.describe(sec)
		entry.ListedStages, entry.Stages = entry.Stages, nil
		out.SecretList = append(out.SecretList, entry)
	}
	return out, nil
}

// batchFailure is the API's data type APIErrorType.
type batchFailure struct {
	SecretID  string `json:"SecretId"`
	ErrorCode string
	Message   string
}

// batchInput is the input of BatchGetSecretValue.
type batchInput struct {
	SecretIDs  []string `json:"SecretIdList"`
	Filters    secretFilters
	MaxResults *int64
	NextToken  *string
}

func (in batchInput) limits() *apiError {
	var limits constraints
	if in.SecretIDs != nil {
		limits.list("secretIdList", in.SecretIDs, maxSecretBatch, maxSecretIDLength)
	}
	in.Filters.limits(&limits)
	limits.number("maxResults", in.MaxResults, 1, maxSecretBatch)
	limits.text("nextToken", in.NextToken, 1, 4096)
	return limits.err()
}

// check checks which members go together.
func (in batchInput) check() *apiError {
	filtered := len(in.Filters) > 0
	switch {
	case (in.SecretIDs == nil) == !filtered:
		return clientError("InvalidParameterException", "Either 'SecretIdList' or 'Filters' must be provided, but not both.")
	case in.MaxResults != nil && !filtered:
		return clientError("InvalidParameterException",
			"'Filters' not specified. 'Filters' must also be specified when 'MaxResults' is provided.")
	case in.NextToken != nil && !filtered:
		return clientError("InvalidParameterException",
			"'Filters' not specified. 'Filters' must also be specified when 'NextToken' is provided.")
	}
	return in.Filters.check()
}

func (s *secretStore) batchGetSecretValue(c *call) (any, *apiError) {
	var in batchInput
	if err := decodeInput(c.Body, &in); err != nil {
		return nil, err
	}
	c.Object = strings.Join(in.SecretIDs, ",")
	if len(in.Filters) > 0 {
		c.Object = in.Filters.String()
	}
	if err := in.limits(); err != nil {
		return nil, err
	}
	if err := c.Allowed("secretsmanager:BatchGetSecretValue", "*"); err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	ids, next := in.SecretIDs, ""
	if len(in.Filters) > 0 {
		if err := c.Allowed("secretsmanager:ListSecrets", "*"); err != nil {
			return nil, err
		}
		page, token, err := s.page(c, secretListing{
			filters: in.Filters, size: int(cmp.Or(deref(in.MaxResults), maxSecretBatch)),
			token: in.NextToken, request: pageRequest(c, "BatchGetSecretValue", in.Filters),
		})
		if err != nil {
			return nil, err
		}
		for _, sec := range page {
			ids = append(ids, s.arn(sec))
		}
		next = token
	}
	out := struct {
		SecretValues []any
		Errors       []batchFailure
		NextToken    string `json:",omitempty"`
	}{SecretValues: []any{}, Errors: []batchFailure{}, NextToken: next}
	for _, id := range ids {
		output, err := s.batchEntry(c, id)
		if err != nil {
			out.Errors = append(out.Errors, batchFailure{id, err.Code, err.Message})
			continue
		}
		out.SecretValues = append(out.SecretValues, output)
	}
	return out, nil
}

// batchEntry reads one secret of a batch. It needs the same permission as a single read.
func (s *secretStore) batchEntry(c *call, id string) (any, *apiError) {
	if err := s.begin(c, "GetSecretValue", &id, new(constraints)); err != nil {
		return nil, err
	}
	return s.value(c, id, nil, nil)
}
