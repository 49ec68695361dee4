package awssim_test

import (
	"strings"
	"testing"

	"secrets-provider-aws/test/awssim"
)

// permissionDoc and trustDoc return a document with one statement.
func permissionDoc(statement string) awssim.Document {
	return awssim.Document(`{"Version": "2012-10-17", "Statement": [` + statement + `]}`)
}

// TestPermissionPolicies reads the secret "db" in ap-south-1 with a session of a
// role with the tag team=payment.
func TestPermissionPolicies(t *testing.T) {
	const (
		get  = `"Effect": "Allow", "Action": "secretsmanager:GetSecretValue"`
		all  = `"Effect": "Allow", "Action": "*", "Resource": "*"`
		deny = `"Effect": "Deny", "Action": "secretsmanager:Get*"`
		arn  = `arn:aws:secretsmanager:ap-south-1:123456789012:secret:`
	)
	implicit := "because no identity-based policy allows the secretsmanager:GetSecretValue action"
	explicit := "with an explicit deny in an identity-based policy"
	b := start(t)
	for name, tc := range map[string]struct {
		statements string // joined by a comma
		denied     string // "" = allowed
	}{
		"the ARN with the random suffix as wildcards": {statements: `{` + get + `, "Resource": "` + arn + `db-??????"}`},
		"a question mark is missing":                  {statements: `{` + get + `, "Resource": "` + arn + `db-?????"}`, denied: implicit},
		"a star":                                      {statements: `{` + get + `, "Resource": ["` + arn + `other", "` + arn + `d*"]}`},
		"a star, but not the rest":                    {statements: `{` + get + `, "Resource": "` + arn + `db*_*"}`, denied: implicit},
		"another region":                              {statements: `{` + get + `, "Resource": "arn:aws:secretsmanager:eu-west-1:*:secret:*"}`, denied: implicit},
		"the name instead of the ARN's suffix":        {statements: `{` + get + `, "Resource": "` + arn + `db"}`, denied: implicit},
		"an action in another case":                   {statements: `{"Effect": "Allow", "Action": ["SecretsManager:getsecret*"], "Resource": "*"}`},
		"another action":                              {statements: `{"Effect": "Allow", "Action": "secretsmanager:DescribeSecret", "Resource": "*"}`, denied: implicit},
		"NotAction":                                   {statements: `{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}`},
		"NotAction that covers it":                    {statements: `{"Effect": "Allow", "NotAction": "secretsmanager:*", "Resource": "*"}`, denied: implicit},
		"NotResource":                                 {statements: `{` + get + `, "NotResource": "` + arn + `other*"}`},
		"NotResource that covers it":                  {statements: `{` + get + `, "NotResource": "` + arn + `db*"}`, denied: implicit},
		"an explicit deny overrides allow":            {statements: `{` + all + `}, {` + deny + `, "Resource": "` + arn + `db-*"}`, denied: explicit},
		"a deny of something else":                    {statements: `{` + all + `}, {` + deny + `, "Resource": "` + arn + `other"}`},
		"no statement for it":                         {statements: `{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}`, denied: implicit},

		"region as required":                  {statements: `{` + all + `, "Condition": {"StringEquals": {"aws:RequestedRegion": ["eu-west-1", "ap-south-1"]}}}`},
		"region not as required":              {statements: `{` + all + `, "Condition": {"StringEquals": {"aws:RequestedRegion": "eu-west-1"}}}`, denied: implicit},
		"deny outside a region":               {statements: `{` + all + `}, {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}}}`, denied: explicit},
		"deny outside regions":                {statements: `{` + all + `}, {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"StringNotEquals": {"aws:RequestedRegion": ["eu-west-1", "ap-south-1"]}}}`},
		"like":                                {statements: `{` + all + `, "Condition": {"StringLike": {"aws:RequestedRegion": "ap-*"}}}`},
		"equals: star is literal":             {statements: `{` + all + `, "Condition": {"StringEquals": {"aws:RequestedRegion": "ap-*"}}}`, denied: implicit},
		"not like":                            {statements: `{` + all + `, "Condition": {"StringNotLike": {"aws:RequestedRegion": "ap-*"}}}`, denied: implicit},
		"the key's case":                      {statements: `{` + all + `, "Condition": {"StringEquals": {"AWS:requestedregion": "ap-south-1"}}}`},
		"ignoring the value's case":           {statements: `{` + all + `, "Condition": {"StringEqualsIgnoreCase": {"aws:PrincipalTag/team": "PAYMENT"}}}`},
		"the value's case":                    {statements: `{` + all + `, "Condition": {"StringEquals": {"aws:PrincipalTag/team": "PAYMENT"}}}`, denied: implicit},
		"two conditions, one of them not met": {statements: `{` + all + `, "Condition": {"StringEquals": {"aws:PrincipalTag/team": "payment", "aws:RequestedRegion": "eu-west-1"}}}`, denied: implicit},
		"the principal's ARN is the role's":   {statements: `{` + all + `, "Condition": {"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/tagged*"}}}`},
		"an ARN wildcard ends at the colon":   {statements: `{` + all + `, "Condition": {"ArnEquals": {"aws:PrincipalArn": "arn:*:role/tagged"}}}`, denied: implicit},

		"a missing tag is not equal":      {statements: `{` + all + `, "Condition": {"StringEquals": {"aws:PrincipalTag/nope": "x"}}}`, denied: implicit},
		"a missing tag is not-equal":      {statements: `{` + all + `, "Condition": {"StringNotEquals": {"aws:PrincipalTag/nope": "x"}}}`},
		"if exists, key is missing":       {statements: `{` + all + `, "Condition": {"StringEqualsIfExists": {"aws:PrincipalTag/nope": "x"}}}`},
		"if exists, key is present":       {statements: `{` + all + `, "Condition": {"StringEqualsIfExists": {"aws:PrincipalTag/team": "x"}}}`, denied: implicit},
		"null: must be missing":           {statements: `{` + all + `, "Condition": {"Null": {"aws:PrincipalTag/team": "true"}}}`, denied: implicit},
		"null: must be present":           {statements: `{` + all + `, "Condition": {"Null": {"aws:PrincipalTag/team": false}}}`},
		"bool":                            {statements: `{` + all + `, "Condition": {"Bool": {"aws:SecureTransport": "false"}}}`},
		"bool, deny without TLS":          {statements: `{` + all + `}, {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:SecureTransport": false}}}`, denied: explicit},
		"for all values of a missing key": {statements: `{` + all + `, "Condition": {"ForAllValues:StringEquals": {"aws:TagKeys": "x"}}}`},
		"for any value of a missing key":  {statements: `{` + all + `, "Condition": {"ForAnyValue:StringEquals": {"aws:TagKeys": "x"}}}`, denied: implicit},
		"for any value":                   {statements: `{` + all + `, "Condition": {"ForAnyValue:StringLike": {"aws:PrincipalTag/team": ["x", "pay*"]}}}`},

		"a tag as variable":               {statements: `{` + get + `, "Resource": "` + arn + `${aws:PrincipalTag/object}-??????"}`},
		"a tag's star is literal":         {statements: `{` + get + `, "Resource": "` + arn + `${aws:PrincipalTag/star}"}`, denied: implicit},
		"a missing tag as variable":       {statements: `{` + get + `, "Resource": "` + arn + `${aws:PrincipalTag/nope}*"}`, denied: implicit},
		"a missing tag with a default":    {statements: `{` + get + `, "Resource": "` + arn + `${aws:PrincipalTag/nope, 'db'}-*"}`},
		"an escaped star":                 {statements: `{` + get + `, "Resource": "` + arn + `${*}"}`, denied: implicit},
		"a variable in a condition":       {statements: `{` + all + `, "Condition": {"StringEquals": {"aws:PrincipalTag/team": "${aws:PrincipalTag/team}"}}}`},
		"another variable in a condition": {statements: `{` + all + `, "Condition": {"StringEquals": {"aws:PrincipalTag/team": "${aws:PrincipalTag/object}"}}}`, denied: implicit},
	} {
		t.Run(name, func(t *testing.T) {
			err := b.SetRole(awssim.Role{
				Name: "tagged", TrustPolicy: b.issuer.TrustPolicy("payment", "api"),
				Policies: []awssim.Document{permissionDoc(tc.statements)},
				Tags:     map[string]string{"team": "payment", "object": "db", "star": "*"},
			})
			if err != nil {
				t.Fatal(err)
			}
			err = getDB(t, b.secrets(b.session(t, "arn:aws:iam::"+account+":role/tagged")))
			if tc.denied == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, 400, "AccessDeniedException", tc.denied)
			wantError(t, err, 400, "AccessDeniedException",
				"User: arn:aws:sts::123456789012:assumed-role/tagged/payment-api is not authorized to perform: secretsmanager:GetSecretValue on resource: "+arn)
		})
	}
}

func TestTrustPolicies(t *testing.T) {
	b := start(t)
	provider, sub, aud := b.issuer.ProviderARN(), b.issuer.ConditionKey("sub"), b.issuer.ConditionKey("aud")
	federated := `"Effect": "Allow", "Principal": {"Federated": "` + provider + `"}, "Action": "sts:AssumeRoleWithWebIdentity"`
	for name, tc := range map[string]struct {
		statements string
		allowed    bool
	}{
		"no condition":            {`{` + federated + `}`, true},
		"any account of a space":  {`{` + federated + `, "Condition": {"StringLike": {"` + sub + `": "system:serviceaccount:payment:*"}}}`, true},
		"another space":           {`{` + federated + `, "Condition": {"StringLike": {"` + sub + `": "system:serviceaccount:default:*"}}}`, false},
		"StringEquals with *":     {`{` + federated + `, "Condition": {"StringEquals": {"` + sub + `": "system:serviceaccount:payment:*"}}}`, false},
		"the audience":            {`{` + federated + `, "Condition": {"StringEquals": {"` + aud + `": "sts.amazonaws.com"}}}`, true},
		"another audience":        {`{` + federated + `, "Condition": {"StringEquals": {"` + aud + `": "x"}}}`, false},
		"another issuer's claim":  {`{` + federated + `, "Condition": {"StringEquals": {"oidc.example.com/id/1:sub": "system:serviceaccount:payment:api"}}}`, false},
		"the session's name":      {`{` + federated + `, "Condition": {"StringLike": {"sts:RoleSessionName": "payment-*"}}}`, true},
		"another session's name":  {`{` + federated + `, "Condition": {"StringLike": {"sts:RoleSessionName": "x-*"}}}`, false},
		"an explicit deny":        {`{` + federated + `}, {"Effect": "Deny", "Principal": "*", "Action": "sts:*", "Condition": {"StringEquals": {"` + sub + `": "system:serviceaccount:payment:api"}}}`, false},
		"another action":          {`{"Effect": "Allow", "Principal": {"Federated": "` + provider + `"}, "Action": "sts:AssumeRole"}`, false},
		"another provider":        {`{"Effect": "Allow", "Principal": {"Federated": "` + provider + `0"}, "Action": "sts:AssumeRoleWithWebIdentity"}`, false},
		"the account's principal": {`{"Effect": "Allow", "Principal": {"AWS": "` + account + `"}, "Action": "*"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := b.SetRole(awssim.Role{Name: "tested", TrustPolicy: permissionDoc(tc.statements)}); err != nil {
				t.Fatal(err)
			}
			_, err := b.webIdentity(t, "arn:aws:iam::"+account+":role/tested", b.token(t, paymentToken()))
			if tc.allowed {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantError(t, err, 403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
		})
	}
}

// TestRefusedPolicies: the simulator must refuse everything that it does not
// evaluate.
func TestRefusedPolicies(t *testing.T) {
	condition := func(c string) awssim.Role {
		return awssim.Role{Policies: []awssim.Document{permissionDoc(`{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": ` + c + `}`)}}
	}
	permission := func(d awssim.Document) awssim.Role { return awssim.Role{Policies: []awssim.Document{d}} }
	trust := func(principal string) awssim.Role {
		return awssim.Role{TrustPolicy: permissionDoc(`{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": ` + principal + `}`)}
	}
	for name, tc := range map[string]struct {
		role awssim.Role
		part string
	}{
		"not JSON":                  {permission(`{`), "policy document"},
		"more than a document":      {permission(permissionDoc(`{"Effect": "Allow", "Action": "*", "Resource": "*"}`) + `{}`), "trailing data"},
		"an element twice":          {permission(permissionDoc(`{"Effect": "Deny", "Effect": "Allow", "Action": "*", "Resource": "*"}`)), `"Effect" stands twice`},
		"unknown version":           {permission(`{"Version": "2020-01-01", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}`), "Version"},
		"variable in old version":   {permission(`{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::${aws:PrincipalTag/a}"}}`), "policy variables need Version"},
		"no statement":              {permission(`{"Version": "2012-10-17", "Statement": []}`), "no statement"},
		"unknown element":           {permission(permissionDoc(`{"Effect": "Allow", "Action": "*", "Resource": "*", "Conditions": {}}`)), `"Conditions" is not known`},
		"element of another case":   {permission(permissionDoc(`{"effect": "Allow", "Action": "*", "Resource": "*"}`)), `"effect" is not known`},
		"no effect":                 {permission(permissionDoc(`{"Action": "*", "Resource": "*"}`)), "Effect must be"},
		"no resource":               {permission(permissionDoc(`{"Effect": "Allow", "Action": "*"}`)), "exactly one of Resource and NotResource"},
		"both actions":              {permission(permissionDoc(`{"Effect": "Allow", "Action": "*", "NotAction": "*", "Resource": "*"}`)), "exactly one of Action and NotAction"},
		"action without service":    {permission(permissionDoc(`{"Effect": "Allow", "Action": "GetSecretValue", "Resource": "*"}`)), "service:Name"},
		"resource is not an ARN":    {permission(permissionDoc(`{"Effect": "Allow", "Action": "*", "Resource": "db"}`)), "neither an ARN"},
		"principal in a permission": {permission(permissionDoc(`{"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*"}`)), `"Principal" is not known`},
		"resource in a trust policy": {awssim.Role{TrustPolicy: permissionDoc(`{"Effect": "Allow", "Action": "*", "Resource": "*", "Principal": "*"}`)},
			`"Resource" is not known`},
		"unknown operator":          {condition(`{"StringMatches": {"aws:RequestedRegion": "x"}}`), `operator "StringMatches"`},
		"unknown quantifier":        {condition(`{"ForSomeValues:StringEquals": {"aws:TagKeys": "x"}}`), "is not known"},
		"NullIfExists":              {condition(`{"NullIfExists": {"aws:TagKeys": "true"}}`), "is not known"},
		"unknown key":               {condition(`{"StringEquals": {"aws:SourceVpc": "x"}}`), `"aws:SourceVpc" is not known to the simulator`},
		"key is not an issuer":      {condition(`{"StringEquals": {"secretsmanager:sub": "x"}}`), "is not known to the simulator"},
		"a claim that EKS lacks":    {condition(`{"StringEquals": {"oidc.example.com/id/1:email": "x"}}`), "is not known to the simulator"},
		"unknown variable":          {condition(`{"StringEquals": {"aws:RequestedRegion": "${aws:username}"}}`), "policy variable"},
		"unterminated variable":     {condition(`{"StringEquals": {"aws:RequestedRegion": "${aws:PrincipalTag/a"}}`), "does not end"},
		"bool is invalid":           {condition(`{"Bool": {"aws:SecureTransport": "yes"}}`), "neither true nor false"},
		"empty list":                {condition(`{"StringEquals": {"aws:RequestedRegion": []}}`), "empty"},
		"wildcard in a principal":   {trust(`{"AWS": "arn:aws:iam::123456789012:role/*"}`), "not valid or not supported"},
		"unknown kind of principal": {trust(`{"CanonicalUser": "x"}`), "not valid or not supported"},
		"no principal":              {awssim.Role{TrustPolicy: permissionDoc(`{"Effect": "Allow", "Action": "*"}`)}, "Principal must be"},
		"session too long":          {awssim.Role{MaxSessionDuration: 43201}, "maxSessionDuration"},
		"name and ARN differ":       {awssim.Role{ARN: "arn:aws:iam::123456789012:role/other"}, "do not agree"},
	} {
		t.Run(name, func(t *testing.T) {
			tc.role.Name = "refused"
			sim, err := awssim.Start(awssim.Config{State: awssim.State{Roles: []awssim.Role{tc.role}}})
			if err == nil {
				sim.Close()
				t.Fatal("it is accepted")
			}
			if !strings.Contains(err.Error(), tc.part) || !strings.Contains(err.Error(), "refused") {
				t.Errorf("error %q, want the role and %q in it", err, tc.part)
			}
		})
	}
}

func TestRolesAtRunTime(t *testing.T) {
	b := start(t)
	client := b.secrets(b.payment(t))
	if err := b.AddRole(awssim.Role{Name: "payment-role"}); err == nil {
		t.Error("a role is added twice")
	}
	role := awssim.Role{Name: "payment-role", Policies: []awssim.Document{awssim.DenyPolicy("*", "*")}}
	if err := b.SetRole(role); err != nil {
		t.Fatal(err)
	}
	wantError(t, getDB(t, client), 400, "AccessDeniedException", "explicit deny")
	if err := b.RemoveRole("missing"); err == nil {
		t.Error("a role that does not exist is removed")
	}
}
