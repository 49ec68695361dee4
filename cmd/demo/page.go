package main

import (
	"fmt"
	"io"
	"strings"
)

const (
	pageWidth = 100 // columns
	proseAt   = 4   // indentation of paragraphs, in columns
	blockAt   = 6   // indentation of literal text, in columns
)

// page prints plain text: numbered steps, paragraphs and blocks of literal text, with a blank line
// between any two. After an error of the writer it prints nothing more and keeps that error.
type page struct {
	out   io.Writer
	begun bool
	step  int
	err   error
}

// title prints the title of a part.
func (p *page) title(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	p.block(0, text, strings.Repeat("=", len(text)))
}

// heading prints the heading of the next step.
func (p *page) heading(text string) {
	p.step++
	p.block(0, fmt.Sprintf("%2d. %s", p.step, text))
}

// say prints a paragraph.
func (p *page) say(format string, args ...any) {
	p.block(proseAt, wrap(fmt.Sprintf(format, args...), pageWidth-proseAt)...)
}

// show prints text unchanged.
func (p *page) show(text string) {
	p.block(blockAt, strings.Split(strings.Trim(text, "\n"), "\n")...)
}

// quote prints one long line, wrapped but otherwise unchanged.
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

// wrap breaks text at spaces into lines of at most width bytes. A longer word gets its own line.
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
