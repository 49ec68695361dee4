package main

import (
	"fmt"
	"io"
	"strings"
)

const (
	pageWidth = 100 // columns
	proseAt   = 4   // column at which paragraphs begin
	blockAt   = 6   // column at which what is shown as it is begins
)

// page prints plain text: numbered steps of paragraphs, and blocks of what there is to see, a blank
// line between any two. It remembers the first error of its writer and prints nothing after it.
type page struct {
	out   io.Writer
	begun bool
	step  int
	err   error
}

// title begins a part.
func (p *page) title(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	p.block(0, text, strings.Repeat("=", len(text)))
}

// heading begins the next step.
func (p *page) heading(text string) {
	p.step++
	p.block(0, fmt.Sprintf("%2d. %s", p.step, text))
}

// say prints a paragraph.
func (p *page) say(format string, args ...any) {
	p.block(proseAt, wrap(fmt.Sprintf(format, args...), pageWidth-proseAt)...)
}

// show prints text as it stands.
func (p *page) show(text string) {
	p.block(blockAt, strings.Split(strings.Trim(text, "\n"), "\n")...)
}

// quote prints one long line, wrapped and otherwise as it stands.
func (p *page) quote(line string) { p.block(blockAt, wrap(line, pageWidth-blockAt)...) }

func (p *page) block(indent int, lines ...string) {
	if p.begun {
		p.print("\n")
	}
	p.begun = true
	for _, line := range lines {
		p.print(strings.Repeat(" ", indent) + line + "\n")
	}
}

func (p *page) print(text string) {
	if p.err == nil {
		_, p.err = io.WriteString(p.out, text)
	}
}

// wrap breaks text at its spaces into lines of at most width bytes; a longer word has a line of its own.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
