// Package docs contains the documentation for users and contributors. The Go package gives its tables and manifests to
// the tests, which compare them with the code.
package docs

import (
	"embed"
	"fmt"
	"regexp"
	"strings"
)

//go:embed *.md
var files embed.FS

// Table returns the first table below a heading, such as "Flags" in reference.md: the rows without the table's head,
// and each cell as Markdown.
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

var ruleRow = regexp.MustCompile(`^\| <a id="([a-z][0-9]+)"></a>([A-Z][0-9]+) \| ([^|]*[^|\s]) \|`)

// Rules returns the rules of contract.md: a map from an id, such as K24, to its rule.
func Rules() (map[string]string, error) {
	text, err := files.ReadFile("contract.md")
	if err != nil {
		return nil, err
	}
	rules := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, "<a id=") {
			continue
		}
		row := ruleRow.FindStringSubmatch(line)
		if len(row) == 0 || row[1] != strings.ToLower(row[2]) {
			return nil, fmt.Errorf("docs: this row of contract.md does not begin with an anchor, an id and a rule: %s", line)
		}
		if rules[row[2]] != "" {
			return nil, fmt.Errorf("docs: contract.md has rule %s twice", row[2])
		}
		rules[row[2]] = row[3]
	}
	return rules, nil
}

// Blocks returns the contents of the fenced blocks that begin with ```info, such as "yaml", in their order.
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

// Code returns the code spans of a cell: `a`, `b`.
func Code(cell string) []string {
	var names []string
	for i, part := range strings.Split(cell, "`") {
		if i%2 == 1 {
			names = append(names, part)
		}
	}
	return names
}
