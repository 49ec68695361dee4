package awssim

import (
	"math"
	"testing"
	"time"
)

// granted counts how many simultaneous calls get a token.
func (t *quotaTable) granted(now time.Time, calls int, region string) int {
	n := 0
	for range calls {
		if t.take(now, "secretsmanager", "GetSecretValue", region) == nil {
			n++
		}
	}
	return n
}

func TestQuotaIsATokenBucket(t *testing.T) {
	var quotas quotaTable
	quota := Quota{Service: "secretsmanager", Operation: "GetSecretValue", Rate: 10, Burst: 4}
	if err := quotas.set(quota); err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		what   string
		after  time.Duration
		region string
		calls  int
		want   int
	}{
		{"a full bucket", 0, "eu-west-1", 10, 4},
		{"an empty one", 0, "eu-west-1", 5, 0},
		{"another Region", 0, "eu-west-2", 10, 4},
		{"not quite a token later", 99 * time.Millisecond, "eu-west-1", 5, 0},
		{"two tokens later", 200 * time.Millisecond, "eu-west-1", 5, 2},
		{"refused calls took none", 300 * time.Millisecond, "eu-west-1", 5, 1},
		{"it holds no more than its burst", time.Hour, "eu-west-1", 100, 4},
	} {
		if got := quotas.granted(start.Add(step.after), step.calls, step.region); got != step.want {
			t.Errorf("%s: %d of %d calls granted, want %d", step.what, got, step.calls, step.want)
		}
	}
	if err := quotas.set(quota); err != nil {
		t.Fatal(err)
	}
	if got := quotas.granted(start.Add(time.Hour), 10, "eu-west-1"); got != 4 {
		t.Errorf("a quota that is set twice: %d calls granted, want the full 4", got)
	}
	quota.Rate = 0
	if err := quotas.set(quota); err != nil {
		t.Fatal(err)
	}
	if got := quotas.granted(start.Add(time.Hour), 100, "eu-west-1"); got != 100 {
		t.Errorf("without a quota: %d of 100 calls granted", got)
	}
}

func TestQuotaBurstDefaultsToASecond(t *testing.T) {
	for perSecond, want := range map[float64]int{250: 250, 2.5: 3, 0.01: 1} {
		var quotas quotaTable
		if err := quotas.set(Quota{Service: "secretsmanager", Operation: "GetSecretValue", Rate: perSecond}); err != nil {
			t.Fatal(err)
		}
		if got := quotas.granted(time.Unix(0, 0), 1000, ""); got != want {
			t.Errorf("rate %g: %d calls at once, want %d", perSecond, got, want)
		}
	}
}

func TestQuotaRefusesInvalidValues(t *testing.T) {
	for name, q := range map[string]Quota{
		"service":        {Service: "s3", Operation: "GetObject", Rate: 1},
		"no operation":   {Service: "sts", Rate: 1},
		"negative rate":  {Service: "sts", Operation: "AssumeRole", Rate: -1},
		"negative burst": {Service: "sts", Operation: "AssumeRole", Rate: 1, Burst: -1},
		"not a number":   {Service: "sts", Operation: "AssumeRole", Rate: math.NaN()},
		"infinite rate":  {Service: "sts", Operation: "AssumeRole", Rate: math.Inf(1)},
	} {
		t.Run(name, func(t *testing.T) {
			var quotas quotaTable
			if err := quotas.set(q); err == nil {
				t.Error("it is accepted")
			}
		})
	}
}
