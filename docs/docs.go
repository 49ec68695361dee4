// Package docs is what users and contributors read. As a package it hands its tables and manifests to the tests, which
// hold them to the code.
package docs

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed *.md
var files embed.FS

// Table gives the first table below a heading, such as "Flags" in reference.md: row by row without its head, each
// cell as it is written.
func Table(file, heading string) ([][]string, error) {
	text, err := files.ReadFile(file)
	if err != nil {
		return nil, err
	}
	_, below, ok := strings.Cut(string(text), "# "+heading+"\n")
	if !ok {
		return nil, fmt.Errorf("docs: %s has no heading %q", file, heading)
	}
	var rows [][]string
lines:
	for line := range strings.Lines(below) {
		switch {
		case strings.HasPrefix(line, "|"):
			cells := strings.Split(strings.Trim(line, "|\n"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, cells)
		case len(rows) > 0, strings.HasPrefix(line, "#"):
			break lines
		}
	}
	if len(rows) < 3 {
		return nil, fmt.Errorf("docs: %s has no table below %q", file, heading)
	}
	return rows[2:], nil
}

// Blocks gives the contents of the fenced blocks that begin with ```info, such as "yaml", in their order.
func Blocks(file, info string) ([]string, error) {
	text, err := files.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var blocks []string
	rest := string(text)
	for {
		_, after, ok := strings.Cut(rest, "\n```"+info+"\n")
		if !ok {
			return blocks, nil
		}
		block, after, ok := strings.Cut(after, "\n```\n")
		if !ok {
			return nil, fmt.Errorf("docs: %s has a block of %s without an end", file, info)
		}
		blocks = append(blocks, block+"\n")
		rest = "\n" + after
	}
}

// Code gives the names that a cell shows as code: `a`, `b`.
func Code(cell string) []string {
	var names []string
	for i, part := range strings.Split(cell, "`") {
		if i%2 == 1 {
			names = append(names, part)
		}
	}
	return names
}
