package deployment_test

import (
	"bytes"
	"errors"
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// The picture of the dashboard shows every panel. A query without data is an error that names the panel, and the picture is
// drawn all the same.
func TestDashboard_PictureNamesPanelsWithoutData(t *testing.T) {
	prometheus := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.FormValue("query")
		if strings.Contains(query, "$") {
			t.Errorf("the query %s contains a variable of Grafana", query)
		}
		series := fmt.Sprintf(`{"metric":{"node":"n1"},"values":[[%[1]d,"1"],[%[2]d,"NaN"],[%[2]d,"3"]]}`, 1_000_000_000, 1_000_000_030)
		if strings.Contains(query, "cache_evictions") {
			series = ""
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[%s]}}`, series)
	}))
	defer prometheus.Close()
	at := func(seconds int64) string { return time.Unix(1_000_000_000+seconds, 0).UTC().Format(time.RFC3339) }
	cmd := exec.CommandContext(t.Context(), "go", "run", "-C", "observability/dashboard", "./picture",
		"--prometheus", prometheus.URL, "--from", at(0), "--to", at(60), "--mark", "cut="+at(20), "../dashboard.json")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("it succeeds without data: %v", err)
	}
	if said := string(exit.Stderr); strings.Count(said, "no data") != 1 || !strings.Contains(said, `panel "Values that left a full cache"`) {
		t.Errorf("it says: %s", said)
	}
	picture, err := png.Decode(bytes.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	if size := picture.Bounds().Size(); size.X < 800 || size.Y < 2*size.X {
		t.Errorf("the picture has the size %v", size)
	}
}
