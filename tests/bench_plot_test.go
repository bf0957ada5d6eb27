//go:build linux

package tests

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// benchPlot is one drawing of benchSVG: a figure by the number of clients, a line for
// each server.
type benchPlot struct {
	chapter, place, title string
	what                  figure
	text                  func(float64) string // of a number at the axis
}

var benchPlots = []benchPlot{
	{"hits", "", "Remembered accounts: answers per second", rateOf, count},
	{"hits", "", "Remembered accounts: server's CPU time for each", cpuOf, seconds},
	{"cold", coldView{true, trip}.String(), "Logins at an IMAP server 20 ms away, TLS: per second", rateOf, count},
	{"cold", coldView{true, trip}.String(), "The same: server's CPU time for each", cpuOf, seconds},
}

// The measures of the picture, in pixels. It is two drawings wide.
const (
	plotWidth, plotHeight        = 470, 300
	plotLeft, plotRight, plotTop = 72, 18, 44
	plotBottom, legendRow        = 48, 22
	legendTop, legendColumn      = 14, 300
	legendColumns                = 3
	whisker                      = 3
)

// plotStyle has dark text on white for whoever does not know the media query. The
// colours are those that Okabe and Ito chose for every eye, lighter in the dark.
const plotStyle = `<style>
text { font: 12px system-ui, "DejaVu Sans", sans-serif; fill: #1f2328 }
.title { font-weight: 600; font-size: 13px }
.paper { fill: #ffffff }
.grid { stroke: #d0d7de; stroke-width: 1 }
.axis { stroke: #57606a; stroke-width: 1 }
.line { fill: none; stroke-width: 2 }
.ours { stroke-width: 3.5 }
%s@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.paper { fill: #0d1117 }
.grid { stroke: #30363d }
.axis { stroke: #8b949e }
%s}
</style>
`

// plotColours are one for each line, in light and in dark.
var plotColours = [][2]string{
	{"#6e7781", "#8b949e"}, {"#b07d00", "#e6b422"}, {"#cc4400", "#ff8c5a"}, {"#0060b0", "#56b4f0"},
	{"#00805f", "#3fd0a0"}, {"#9a3f80", "#e08cc8"}, {"#5b3fb0", "#b49cff"}, {"#444444", "#cccccc"},
}

// benchSVG draws all plots that have something to show, and one legend.
func benchSVG(results benchResults) string {
	var shown []benchPlot
	var servers []string
	for _, p := range benchPlots {
		lines := p.lines(results)
		if len(lines) > 0 {
			shown = append(shown, p)
		}
		for _, s := range lines {
			if !slices.Contains(servers, s.Server) {
				servers = append(servers, s.Server)
			}
		}
	}
	rows := (len(servers) + legendColumns - 1) / legendColumns
	head := legendTop + rows*legendRow
	width, height := 2*plotWidth, head+(len(shown)+1)/2*plotHeight
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%[2]d" role="img">`+"\n", width, height)
	b.WriteString("<title>What answers cost, by the number of clients</title>\n")
	var light, dark strings.Builder
	for i := range servers {
		c := plotColours[i%len(plotColours)]
		fmt.Fprintf(&light, ".s%d { stroke: %s } .m%[1]d { fill: %[2]s }\n", i, c[0])
		fmt.Fprintf(&dark, ".s%d { stroke: %s } .m%[1]d { fill: %[2]s }\n", i, c[1])
	}
	fmt.Fprintf(&b, plotStyle, &light, &dark)
	fmt.Fprintf(&b, `<rect class="paper" width="%d" height="%d"/>`+"\n", width, height)
	for i, name := range servers {
		x, y := plotLeft+i%legendColumns*legendColumn, legendTop+i/legendColumns*legendRow+8
		fmt.Fprintf(&b, `<path class="line s%d%s" d="M%d %dh28"/>`, i, emphasis(name), x, y)
		b.WriteString(marker(i, float64(x+14), float64(y)))
		fmt.Fprintf(&b, `<text x="%d" y="%d">%s</text>`+"\n", x+36, y+4, html.EscapeString(name))
	}
	for i, p := range shown {
		fmt.Fprintf(&b, `<g transform="translate(%d %d)">`+"\n", i%2*plotWidth, head+i/2*plotHeight)
		p.draw(&b, p.lines(results), servers)
		b.WriteString("</g>\n")
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// lines are the series that the plot shows, a server's together.
func (p benchPlot) lines(results benchResults) (found []*benchSeries) {
	for _, s := range results[p.chapter] {
		if s.Place == p.place {
			found = append(found, s)
		}
	}
	return found
}

// draw draws the axes and a line for each server, with the quartiles as whiskers.
func (p benchPlot) draw(b *strings.Builder, series []*benchSeries, servers []string) {
	var clients []int
	top := 0.0
	for _, s := range series {
		if !slices.Contains(clients, s.Clients) {
			clients = append(clients, s.Clients)
		}
		top = max(top, s.of(p.what).high)
	}
	slices.Sort(clients)
	step := niceStep(top)
	top = math.Ceil(top/step) * step
	bottom, right := float64(plotHeight-plotBottom), float64(plotWidth-plotRight)
	x := func(n int) float64 { // the same distance between any two: they are as good as powers
		return plotLeft + (right-plotLeft)*(float64(slices.Index(clients, n))+0.5)/float64(len(clients))
	}
	y := func(v float64) float64 { return bottom - (bottom-plotTop)*v/top }

	fmt.Fprintf(b, `<text class="title" x="%d" y="%d">%s</text>`+"\n", plotLeft, plotTop-16, html.EscapeString(p.title))
	for i := range int(math.Round(top/step)) + 1 {
		v := float64(i) * step
		fmt.Fprintf(b, `<path class="grid" d="M%d %.1fH%.1f"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n",
			plotLeft, y(v), right, plotLeft-8, y(v)+4, p.axis(v))
	}
	fmt.Fprintf(b, `<path class="axis" d="M%d %.1fH%.1f"/>`+"\n", plotLeft, bottom, right)
	for _, n := range clients {
		fmt.Fprintf(b, `<path class="axis" d="M%.1f %.1fv5"/><text x="%.1f" y="%.1f" text-anchor="middle">%d</text>`+"\n",
			x(n), bottom, x(n), bottom+18, n)
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle">clients that ask at the same time</text>`+"\n", (plotLeft+right)/2, bottom+36)
	for i, name := range servers {
		var path, marks strings.Builder
		for _, n := range clients {
			s := find(series, name, p.place, n)
			if s == nil {
				continue
			}
			v := s.of(p.what)
			verb := "L"
			if path.Len() == 0 {
				verb = "M"
			}
			fmt.Fprintf(&path, "%s%.1f %.1f", verb, x(n), y(v.median))
			fmt.Fprintf(&marks, `<path class="line s%d" style="stroke-width:1" d="M%.1f %.1fV%.1fm-%d 0h%dM%.1f %.1fm-%d 0h%d"/>`,
				i, x(n), y(v.low), y(v.high), whisker, 2*whisker, x(n), y(v.low), whisker, 2*whisker)
			marks.WriteString(marker(i, x(n), y(v.median)))
		}
		if path.Len() > 0 {
			fmt.Fprintf(b, `<path class="line s%d%s" d="%s"/>%s`+"\n", i, emphasis(name), &path, &marks)
		}
	}
}

// axis is a number at the axis; zero has no unit.
func (p benchPlot) axis(v float64) string {
	if v == 0 {
		return "0"
	}
	return p.text(v)
}

// emphasis tells our own lines from the others.
func emphasis(server string) string {
	if strings.HasPrefix(server, ours) {
		return " ours"
	}
	return ""
}

// marker is a point of a line, of a shape that can be told without the colour.
func marker(i int, x, y float64) string {
	shapes := []string{
		"m-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z", // circle
		"m-4 -4h8v8h-8z",                      // square
		"m0 -5l5 9h-10z",                      // triangle
		"m0 -6l5 6l-5 6l-5 -6z",               // diamond
		"m0 5l5 -9h-10z",                      // triangle, upside down
	}
	return fmt.Sprintf(`<path class="m%d" d="M%.1f %.1f%s"/>`, i, x, y, shapes[i%len(shapes)])
}

// niceStep is 1, 2 or 5 times a power of ten, of which some five reach top.
func niceStep(top float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(max(top, 1e-9)/5)))
	for _, m := range []float64{1, 2, 5} {
		if top/(m*power) <= 6 {
			return m * power
		}
	}
	return 10 * power
}
