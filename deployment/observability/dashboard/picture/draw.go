package main

import (
	"fmt"
	"image/color"
	"io"
	"math"
	"slices"

	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

const (
	column = 11 * vg.Millimeter // of Grafana's grid, which has 24
	row    = 8 * vg.Millimeter
	gap    = 3 * vg.Millimeter // between panels
	// many is the number of lines from which those that are always zero are left out.
	many = 6
)

// draw writes the panels where Grafana has them, as PNG.
func (b *board) draw(out io.Writer, r v1.Range, marks marks) error {
	rows := 0
	for _, p := range b.Panels {
		rows = max(rows, p.Position.Y+p.Position.H)
	}
	canvas := vgimg.NewWith(vgimg.UseWH(24*column, vg.Length(rows)*row), vgimg.UseDPI(96))
	whole := draw.New(canvas)
	for _, p := range b.Panels {
		left, top := vg.Length(p.Position.X)*column, whole.Max.Y-vg.Length(p.Position.Y)*row
		place := whole
		place.Rectangle = vg.Rectangle{
			Min: vg.Point{X: left, Y: top - vg.Length(p.Position.H)*row},
			Max: vg.Point{X: left + vg.Length(p.Position.W)*column, Y: top},
		}
		place = draw.Crop(place, gap, -gap, gap, 0)
		if p.Type == "row" {
			place.FillText(style(10, true), vg.Point{X: place.Min.X, Y: place.Min.Y + gap/2}, p.Title)
			continue
		}
		drawn, err := p.plot(r, marks)
		if err != nil {
			return fmt.Errorf("panel %q: %w", p.Title, err)
		}
		drawn.Draw(place)
	}
	_, err := vgimg.PngCanvas{Canvas: canvas}.WriteTo(out)
	return err
}

func style(size vg.Length, bold bool) text.Style {
	font := plot.DefaultFont
	font.Size, font.Variant = vg.Points(float64(size)), "Sans"
	if bold {
		font.Weight = 1 << 1
	}
	return text.Style{Color: color.Black, Font: font, Handler: plot.DefaultTextHandler}
}

// plot draws the lines of one panel. The time is in seconds after the range's start.
func (p panel) plot(r v1.Range, marks marks) (*plot.Plot, error) {
	d := plot.New()
	d.Title.Text, d.Title.TextStyle = p.Title, style(7, true)
	d.Title.TextStyle.XAlign = draw.XCenter
	d.X.Min, d.X.Max = 0, r.End.Sub(r.Start).Seconds()
	unit, factor := unitOf(p.Options.Defaults.Unit)
	d.Y.Label.Text = unit
	for _, s := range []*text.Style{&d.X.Tick.Label, &d.Y.Tick.Label, &d.X.Label.TextStyle, &d.Y.Label.TextStyle, &d.Legend.TextStyle} {
		s.Font = style(6, false).Font
	}
	d.Legend.Top, d.Legend.ThumbnailWidth = true, 3*vg.Millimeter
	highest, legends := 0.0, 1
	for i, l := range p.lines {
		if len(p.lines) > many && l.zero() {
			continue
		}
		var points plotter.XYs
		for _, sample := range l.points {
			if value := float64(sample.Value) * factor; !math.IsNaN(value) && !math.IsInf(value, 0) {
				points = append(points, plotter.XY{X: sample.Timestamp.Time().Sub(r.Start).Seconds(), Y: value})
				highest = max(highest, value)
			}
		}
		if len(points) == 0 {
			continue
		}
		drawn, err := plotter.NewLine(points)
		if err != nil {
			return nil, err
		}
		drawn.Color, drawn.Width = plotutil.Color(i), vg.Points(1)
		d.Add(drawn)
		if l.legend != "" {
			d.Legend.Add(l.legend, drawn)
			legends++
		}
	}
	if highest == 0 {
		highest = 1
	}
	d.Y.Min, d.Y.Max = 0, highest*(1+0.1*float64(legends)) // the legend is above the lines
	for _, m := range marks {
		x := m.at.Sub(r.Start).Seconds()
		drawn, err := plotter.NewLine(plotter.XYs{{X: x, Y: 0}, {X: x, Y: d.Y.Max}})
		if err != nil {
			return nil, err
		}
		drawn.Color, drawn.Dashes = color.Gray{Y: 130}, []vg.Length{vg.Points(2), vg.Points(2)}
		label, err := plotter.NewLabels(plotter.XYLabels{XYs: plotter.XYs{{X: x, Y: d.Y.Max * 0.93}}, Labels: []string{" " + m.text}})
		if err != nil {
			return nil, err
		}
		label.TextStyle[0].Font = style(6, false).Font
		d.Add(drawn, label)
	}
	return d, nil
}

// zero reports whether all values are zero.
func (l line) zero() bool {
	return !slices.ContainsFunc(l.points, func(p model.SamplePair) bool { return p.Value != 0 })
}

// unitOf turns Grafana's unit into the text at the axis, and a factor for the values.
func unitOf(grafana string) (unit string, factor float64) {
	switch grafana {
	case "reqps", "ops":
		return "per second", 1
	case "bytes":
		return "MiB", 1.0 / (1 << 20)
	case "percentunit":
		return "%", 100
	case "s":
		return "seconds", 1
	default:
		return "", 1
	}
}
