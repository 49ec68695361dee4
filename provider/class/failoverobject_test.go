package class_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"secrets-provider-aws/provider/class"
)

// second is the failover region of the tests.
const second = "eu-west-1"

const (
	secretInSecond    = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-copy-GhIjKl"
	parameterInSecond = "arn:aws:ssm:eu-west-1:123456789012:parameter/db-copy"
)

var withSecond = params{"failoverRegion": second}

func TestK28_FailoverRegionIsAnotherOne(t *testing.T) {
	same := class.Fault{Field: "failoverRegion", Message: `"eu-west-1" is already the primary region: set another one, or remove it`}
	t.Run("parameter region", func(t *testing.T) {
		wantFaults(t, faults(t, secret("a"), params{"region": second, "failoverRegion": second}), same)
	})
	t.Run("the provider's own region", func(t *testing.T) {
		_, err := class.Parse(params{"objects": secret("a"), "failoverRegion": second}, second)
		wantFaults(t, faultsIn(t, err), same)
	})
	t.Run("the node's region", func(t *testing.T) {
		spc, err := class.Parse(params{"objects": secret("a"), "failoverRegion": second}, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err = spc.InRegion(second); err == nil {
			t.Fatal("two equal regions are taken")
		}
		wantFaults(t, faultsIn(t, err), same)
		if spc, err = spc.InRegion(region); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{region, second}, spc.Regions()); diff != "" {
			t.Errorf("regions (-want +got):\n%s", diff)
		}
	})
	t.Run("no region", func(t *testing.T) {
		if diff := cmp.Diff([]string{region}, parse(t, secret("a"), params{"failoverRegion": ""}).Regions()); diff != "" {
			t.Errorf("regions (-want +got):\n%s", diff)
		}
	})
	t.Run("rubbish", func(t *testing.T) {
		wantFaults(t, faults(t, secret("a")+"  objectAlias: a\n  failoverObject: {objectName: b}\n", params{"failoverRegion": "evil.example/"}),
			class.Fault{Field: "failoverRegion", Message: `"evil.example/" is not the name of an AWS region, such as eu-west-1`})
	})
}

func TestK29_FailoverObjectIsFilledInFromTheObject(t *testing.T) {
	db := secret("db") + "  objectAlias: db\n"
	for _, tt := range []struct {
		name, text string
		want       *class.Failover
	}{
		{"none", db, nil},
		{"null", db + "  failoverObject: null\n", nil},
		{"empty", db + "  failoverObject: {}\n", nil},
		{"fields that are null", db + "  failoverObject: {objectName: , objectVersion: , objectVersionLabel: null}\n", nil},
		{"a name", db + "  failoverObject: {objectName: db-copy}\n", &class.Failover{Name: "db-copy"}},
		{"an ARN", db + "  failoverObject: {objectName: '" + secretInSecond + "'}\n", &class.Failover{Name: secretInSecond}},
		{"a name in another case", db + "  FailoverObject: {objectname: db-copy}\n", &class.Failover{Name: "db-copy"}},
		{"the version of both", db + "  objectVersion: v1\n  failoverObject: {objectName: db-copy, objectVersion: v1}\n", &class.Failover{Name: "db-copy", Version: "v1"}},
		{"the object's label", db + "  objectVersionLabel: L\n  failoverObject: {objectName: db-copy}\n", &class.Failover{Name: "db-copy", Label: "L"}},
		{"another label", db + "  objectVersionLabel: L\n  failoverObject: {objectName: db-copy, objectVersionLabel: M}\n", &class.Failover{Name: "db-copy", Label: "M"}},
		{"a label of the same name, without alias", secret("db") + "  failoverObject: {objectVersionLabel: M}\n", &class.Failover{Name: "db", Label: "M"}},
		{"a parameter's number", object("/db", "ssmparameter") + "  objectAlias: db\n  objectVersion: 3\n  failoverObject: {objectName: /db-copy, objectVersion: 3}\n", &class.Failover{Name: "/db-copy", Version: "3"}},
		{"an ARN of the object, a name of the other", object(secretARN, "") + "  objectAlias: db\n  failoverObject: {objectName: db-copy}\n", &class.Failover{Name: "db-copy"}},
		{"ARNs of both", object(secretARN, "") + "  objectAlias: db\n  failoverObject: {objectName: '" + secretInSecond + "'}\n", &class.Failover{Name: secretInSecond}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			spc := parse(t, tt.text, withSecond)
			if diff := cmp.Diff(tt.want, spc.Objects[0].Failover, plain); diff != "" {
				t.Errorf("failover (-want +got):\n%s", diff)
			}
		})
	}
}

func TestK29_FailoverObjectIsChecked(t *testing.T) {
	db := secret("db") + "  objectAlias: db\n"
	level := object("/level", "ssmparameter") + "  objectAlias: level\n"
	for _, tt := range []struct {
		name, text string
		want       class.Fault
	}{
		{"no alias", secret("db") + "  failoverObject: {objectName: db-copy}\n",
			class.Fault{Field: "objects[0].failoverObject", Line: 3, Column: 19, Message: "needs an objectAlias on the object: it names the file for both regions"}},
		{"a string", db + "  failoverObject: db-copy\n",
			class.Fault{Field: "objects[0].failoverObject", Line: 4, Column: 19, Message: "is a string, not a mapping of fields"}},
		{"a list", db + "  failoverObject: [{objectName: db-copy}]\n",
			class.Fault{Field: "objects[0].failoverObject", Line: 4, Column: 19, Message: "is a list, not a mapping of fields"}},
		{"a name that is a list", db + "  failoverObject: {objectName: [db-copy]}\n",
			class.Fault{Field: "objects[0].failoverObject.objectName", Line: 4, Column: 32, Message: "is a list, not a string"}},
		{"another version", db + "  objectVersion: v1\n  failoverObject: {objectName: db-copy, objectVersion: v2}\n",
			class.Fault{Field: "objects[0].failoverObject.objectVersion", Line: 5, Column: 56, Message: `"v2" differs from the object's objectVersion "v1": both regions must have the same`}},
		{"a version, and the object has none", db + "  failoverObject: {objectName: db-copy, objectVersion: v2}\n",
			class.Fault{Field: "objects[0].failoverObject.objectVersion", Line: 4, Column: 56, Message: `"v2" differs from the object's objectVersion "": both regions must have the same`}},
		{"no version, and the object has one", db + "  objectVersion: v1\n  failoverObject: {objectName: db-copy}\n",
			class.Fault{Field: "objects[0].failoverObject", Line: 5, Column: 19, Message: `has no objectVersion: the object has "v1", and both regions must have the same`}},
		{"an ARN of the primary region", db + "  failoverObject: {objectName: '" + secretARN + "'}\n",
			class.Fault{Field: "objects[0].failoverObject.objectName", Line: 4, Column: 32, Message: fmt.Sprintf("%q is in region ap-south-1, but failoverRegion is eu-west-1", secretARN)}},
		{"an ARN of a parameter for a secret", db + "  failoverObject: {objectName: '" + parameterInSecond + "'}\n",
			class.Fault{Field: "objects[0].failoverObject.objectName", Line: 4, Column: 32, Message: fmt.Sprintf("%q is a parameter, but the object is a secret", parameterInSecond)}},
		{"an ARN of a secret for a parameter", level + "  failoverObject: {objectName: '" + secretInSecond + "'}\n",
			class.Fault{Field: "objects[0].failoverObject.objectName", Line: 4, Column: 32, Message: fmt.Sprintf("%q is a secret, but the object is a parameter", secretInSecond)}},
		{"an ARN of something else", db + "  failoverObject: {objectName: 'arn:aws:s3:::bucket'}\n",
			class.Fault{Field: "objects[0].failoverObject.objectName", Line: 4, Column: 32, Message: `"arn:aws:s3:::bucket" is not the ARN of a secret (arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME) or of a parameter (arn:aws:ssm:REGION:ACCOUNT:parameter/NAME)`}},
		{"a parameter's version in its name", level + "  failoverObject: {objectName: '/level:1'}\n",
			class.Fault{Field: "objects[0].failoverObject.objectName", Line: 4, Column: 32, Message: `"/level:1" contains a colon: select a version with objectVersion or objectVersionLabel`}},
		{"a parameter's version and label", level + "  objectVersion: 3\n  failoverObject: {objectName: /copy, objectVersion: 3, objectVersionLabel: L}\n",
			class.Fault{Field: "objects[0].failoverObject", Line: 5, Column: 19, Message: "a parameter takes objectVersion or objectVersionLabel, not both"}},
		// AWS's provider takes this one, and fails on it at each mount: the ARN is asked for in the other region.
		{"the object's name is an ARN, and there is no failoverObject", object(secretARN, ""),
			class.Fault{Field: "objects[0].objectName", Line: 1, Column: 15, Message: fmt.Sprintf("%q is in region ap-south-1 and cannot be read in the failover region eu-west-1: name its copy there in failoverObject", secretARN)}},
		{"the object's name is an ARN, and failoverObject has none", object(secretARN, "") + "  failoverObject: {objectVersionLabel: L}\n",
			class.Fault{Field: "objects[0].objectName", Line: 1, Column: 15, Message: fmt.Sprintf("%q is in region ap-south-1 and cannot be read in the failover region eu-west-1: name its copy there in failoverObject", secretARN)}},
	} {
		t.Run(tt.name, func(t *testing.T) { wantFaults(t, faults(t, tt.text, withSecond), tt.want) })
	}
}

func TestK29_FailoverObjectNeedsARegion(t *testing.T) {
	wantFaults(t, faults(t, secret("db")+"  objectAlias: db\n  failoverObject: {objectName: db}\n", nil), class.Fault{
		Field: "objects[0].failoverObject", Line: 4, Column: 32, Message: "needs the parameter failoverRegion: set it to the region of this object",
	})
}

// What AWS's provider overlooks is a warning.
func TestI9_FailoverWarnings(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		more       params
		want       []string
	}{
		{"a label and no region", secret("db") + "  failoverObject: {objectVersionLabel: L}\n", nil,
			[]string{"objects[0].failoverObject (line 3): is not used, as there is no failoverRegion"}},
		{"an unknown field", secret("db") + "  objectAlias: db\n  failoverObject: {objectName: copy, objectVersionLable: L}\n", withSecond,
			[]string{`objects[0].failoverObject (line 4): "objectVersionLable" is not a known field and was ignored (did you mean objectVersionLabel?)`}},
		{"a misspelt failoverObject", secret("db") + "  failoverObjekt: {objectName: copy}\n", withSecond,
			[]string{`objects[0] (line 3): "failoverObjekt" is not a known field and was ignored (did you mean failoverObject?)`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, warnings(parse(t, tt.text, tt.more))); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}
