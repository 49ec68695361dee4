// Command dashboard prints the Grafana dashboard of the provider as JSON. "make dashboard" writes it to its file.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

func main() {
	board, err := build()
	if err == nil {
		var text []byte
		if text, err = json.MarshalIndent(board, "", "  "); err == nil {
			_, err = fmt.Println(string(text))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "dashboard:", err)
		os.Exit(1)
	}
}

// source is the Prometheus that the reader selects.
func source() common.DataSourceRef {
	return common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}
}

func build() (dashboard.Dashboard, error) {
	board := dashboard.NewDashboardBuilder("Secrets provider for AWS").
		Uid("secrets-provider-aws").
		Tags([]string{"secrets-provider-aws", "secrets-store-csi", "aws"}).
		Description("Whether pods get their secrets, how old these are, and what AWS does. The runbooks are in docs/operations.md.").
		Time("now-6h", "now").Refresh("1m").Timezone("browser").Tooltip(dashboard.DashboardCursorSyncCrosshair).
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Prometheus").Type("prometheus")).
		WithVariable(dashboard.NewQueryVariableBuilder("node").Label("Node").Datasource(source()).
			Query(dashboard.StringOrMap{String: cog.ToPtr("label_values(secrets_provider_aws_build_info, node)")}).
			Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc).
			Multi(true).IncludeAll(true).AllValue(".*").
			Current(dashboard.VariableOption{
				Text: dashboard.StringOrArrayOfString{String: cog.ToPtr("All")}, Value: dashboard.StringOrArrayOfString{String: cog.ToPtr("$__all")},
			}))
	id := uint32(0) // Grafana's links name panels by it
	next := func() uint32 { id++; return id }
	for _, r := range rows {
		board.WithRow(dashboard.NewRowBuilder(r.title).Id(next()))
		for _, p := range r.panels {
			board.WithPanel(p.builder(next()))
		}
	}
	return board.Build()
}

// builder makes a number of a panel with a limit, and lines over time of all others.
func (p panel) builder(id uint32) cog.Builder[dashboard.Panel] {
	var targets []cog.Builder[variants.Dataquery]
	for i, q := range p.queries {
		targets = append(targets, prometheus.NewDataqueryBuilder().Expr(q.expr).LegendFormat(q.legend).Datasource(source()).RefId(string(rune('A'+i))).Range())
	}
	if p.bad > 0 {
		return stat.NewPanelBuilder().Id(id).Title(p.title).Description(p.description).Datasource(source()).Targets(targets).Unit(p.unit).
			Height(4).Span(6).Decimals(0).NoValue("no data").
			ReduceOptions(common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})).
			GraphMode(common.BigValueGraphModeArea).ColorMode(common.BigValueColorModeValue).
			Thresholds(dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).Steps([]dashboard.Threshold{
				{Color: "green"}, {Value: cog.ToPtr(p.bad), Color: "red"},
			}))
	}
	return timeseries.NewPanelBuilder().Id(id).Title(p.title).Description(p.description).Datasource(source()).Targets(targets).Unit(p.unit).
		Height(8).Span(12).Min(0).FillOpacity(10).ShowPoints(common.VisibilityModeNever).
		Legend(common.NewVizLegendOptionsBuilder().DisplayMode(common.LegendDisplayModeTable).Placement(common.LegendPlacementBottom).
			ShowLegend(true).Calcs([]string{"lastNotNull", "max"})).
		Tooltip(common.NewVizTooltipOptionsBuilder().Mode(common.TooltipDisplayModeMulti).Sort(common.SortOrderDescending))
}
