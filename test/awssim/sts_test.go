package awssim_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/test/awssim"
)

// trustOf returns a trust policy for an AWS principal, with an optional condition.
func trustOf(principal, condition string) awssim.Document {
	if condition != "" {
		condition = `, "Condition": ` + condition
	}
	return awssim.Document(`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "` + principal +
		`"}, "Action": ["sts:AssumeRole", "sts:TagSession"]` + condition + `}]}`)
}

func TestAssumeRole(t *testing.T) {
	const (
		target  = "arn:aws:iam::" + account + ":role/target"
		foreign = "arn:aws:iam::999999999999:role/team/target"
		session = "arn:aws:sts::" + account + ":assumed-role/caller/payment-api"
		caller  = "arn:aws:iam::" + account + ":role/caller"
	)
	b := start(t)
	mayAssume := func(resource string) []awssim.Document {
		return []awssim.Document{awssim.AllowPolicy(resource, "sts:AssumeRole", "sts:TagSession")}
	}
	withID := `{"StringEquals": {"sts:ExternalId": "the-id"}}`
	denied := "User: " + session + " is not authorized to perform: sts:AssumeRole on resource: "
	for name, tc := range map[string]struct {
		trust    awssim.Document // of the target; "" = no target role
		target   string          // default: target
		own      []awssim.Document
		change   func(*sts.AssumeRoleInput)
		code     string // "" = success
		status   int
		part     string
		wantRole string
	}{
		"trusted account, own permission":                       {trust: trustOf("arn:aws:iam::"+account+":root", ""), own: mayAssume(target)},
		"trusted account by number":                             {trust: trustOf(account, ""), own: mayAssume("*")},
		"trusted account, no own permission":                    {trust: trustOf(account, ""), status: 403, code: "AccessDenied", part: denied + target},
		"trusted by ARN in the same account, no own permission": {trust: trustOf(caller, "")},
		"the session trusted":                                   {trust: trustOf(session, "")},
		"trusted, but denied by the own policy": {trust: trustOf(caller, ""), own: []awssim.Document{awssim.DenyPolicy("*", "sts:*")},
			status: 403, code: "AccessDenied", part: denied + target},
		"another role trusted":                      {trust: trustOf(caller+"2", ""), own: mayAssume("*"), status: 403, code: "AccessDenied", part: denied + target},
		"another session trusted":                   {trust: trustOf(session+"2", ""), own: mayAssume("*"), status: 403, code: "AccessDenied", part: denied + target},
		"another account trusted":                   {trust: trustOf("999999999999", ""), own: mayAssume("*"), status: 403, code: "AccessDenied", part: denied + target},
		"no such role":                              {own: mayAssume("*"), status: 403, code: "AccessDenied", part: denied + target},
		"other account, trusted, no own permission": {target: foreign, trust: trustOf(caller, ""), status: 403, code: "AccessDenied", part: denied + foreign},
		"other account, both": {target: foreign, trust: trustOf(caller, ""), own: mayAssume(foreign),
			wantRole: "arn:aws:sts::999999999999:assumed-role/target/chained"},
		"external id missing": {trust: trustOf(account, withID), own: mayAssume("*"), status: 403, code: "AccessDenied", part: denied},
		"external id wrong": {trust: trustOf(account, withID), own: mayAssume("*"),
			change: func(in *sts.AssumeRoleInput) { in.ExternalId = aws.String("other") }, status: 403, code: "AccessDenied", part: denied},
		"external id right": {trust: trustOf(account, withID), own: mayAssume("*"),
			change: func(in *sts.AssumeRoleInput) { in.ExternalId = aws.String("the-id") }},
		"external id not valid": {trust: trustOf(account, ""), own: mayAssume("*"),
			change: func(in *sts.AssumeRoleInput) { in.ExternalId = aws.String("a b") }, status: 400, code: "ValidationError", part: "externalId"},
		"a chain longer than an hour": {trust: trustOf(account, ""), own: mayAssume("*"),
			change: func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(3601) }, status: 400, code: "ValidationError",
			part: "1 hour session limit for roles assumed by role chaining"},
		"session tags without the permission": {trust: trustOf(account, ""), own: []awssim.Document{awssim.AllowPolicy("*", "sts:AssumeRole")},
			change: func(in *sts.AssumeRoleInput) {
				in.Tags = []types.Tag{{Key: aws.String("team"), Value: aws.String("a")}}
			},
			status: 403, code: "AccessDenied", part: "is not authorized to perform: sts:TagSession"},
		"session tags the trust policy does not want": {
			trust: trustOf(account, `{"StringEqualsIfExists": {"aws:RequestTag/team": "b"}}`), own: mayAssume("*"),
			change: func(in *sts.AssumeRoleInput) {
				in.Tags = []types.Tag{{Key: aws.String("team"), Value: aws.String("a")}}
			},
			status: 403, code: "AccessDenied", part: denied},
	} {
		t.Run(name, func(t *testing.T) {
			b.addRole(t, awssim.Role{Name: "caller", TrustPolicy: b.issuer.TrustPolicy("payment", "api"), Policies: tc.own})
			defer b.removeRole(t, caller)
			role, wantRole := target, "arn:aws:sts::"+account+":assumed-role/target/chained"
			if tc.target != "" {
				role, wantRole = tc.target, tc.wantRole
			}
			if tc.trust != "" {
				b.addRole(t, awssim.Role{ARN: role, TrustPolicy: tc.trust, MaxSessionDuration: 43200})
				defer b.removeRole(t, role)
			}
			in := &sts.AssumeRoleInput{RoleArn: aws.String(role), RoleSessionName: aws.String("chained")}
			if tc.change != nil {
				tc.change(in)
			}
			out, err := sts.NewFromConfig(b.config(b.session(t, caller), nil)).AssumeRole(t.Context(), in)
			if tc.code != "" {
				wantError(t, err, tc.status, tc.code, tc.part)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			who, err := sts.NewFromConfig(b.config(static(out.Credentials), nil)).GetCallerIdentity(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if *who.Arn != wantRole {
				t.Errorf("the new session is %s, want %s", *who.Arn, wantRole)
			}
		})
	}
}

func TestUserCallsAPIsAndAssumesRoles(t *testing.T) {
	const target = "arn:aws:iam::" + account + ":role/target"
	b := start(t, func(c *awssim.Config) {
		c.State.Users = []awssim.User{{
			Name: "bob", AccessKeyID: "AKIABOB", SecretAccessKey: "of bob",
			Policies: []awssim.Document{awssim.AllowPolicy(target, "sts:AssumeRole")},
		}}
		c.State.Roles = []awssim.Role{{Name: "target", TrustPolicy: trustOf(account, ""), MaxSessionDuration: 7200}}
	})
	client := sts.NewFromConfig(b.config(credentials.NewStaticCredentialsProvider("AKIABOB", "of bob", ""), nil))
	who, err := client.GetCallerIdentity(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"arn:aws:iam::" + account + ":user/bob", account}
	if diff := cmp.Diff(want, []string{*who.Arn, *who.Account}); diff != "" {
		t.Error(diff)
	}
	// This is no role chain, so two hours are allowed.
	in := &sts.AssumeRoleInput{RoleArn: aws.String(target), RoleSessionName: aws.String("bob"), DurationSeconds: aws.Int32(7200)}
	if _, err := client.AssumeRole(t.Context(), in); err != nil {
		t.Error(err)
	}
	_, err = client.GetSessionToken(t.Context(), nil)
	wantError(t, err, 400, "InvalidAction", "GetSessionToken")
}
