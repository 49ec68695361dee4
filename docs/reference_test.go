package docs_test

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"secrets-provider-aws/docs"
)

// The examples of the price of rotation follow the formula above them.
func TestReference_PricesOfRotation(t *testing.T) {
	rows, err := docs.Table("reference.md", "What rotation costs")
	if err != nil {
		t.Fatal(err)
	}
	const day, month, priceOfCall = 24 * time.Hour, 30.0, 0.05 / 10_000
	for _, row := range rows {
		if len(row) != 6 {
			t.Fatalf("%d cells in %q, want 6", len(row), row)
		}
		interval, err := time.ParseDuration(row[3])
		if err != nil {
			t.Fatal(err)
		}
		perDay := number(t, row[0]) * number(t, row[1]) * number(t, row[2]) * float64(day/interval)
		if got := number(t, row[4]); got != perDay {
			t.Errorf("%q: %v reads per day, want %v", row, got, perDay)
		}
		if got, want := number(t, row[5]), math.Round(perDay*month*priceOfCall); got != want {
			t.Errorf("%q: %v USD per month, want %v", row, got, want)
		}
	}
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(strings.ReplaceAll(text, ",", ""), 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
