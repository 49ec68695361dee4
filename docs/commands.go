package docs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Executed lists the pages with commands that the end-to-end tests run, by their path in the repository. A reader starts with
// the first one.
func Executed() []string {
	return []string{
		"README.md", "deployment/chart/README.md", "deployment/examples/README.md", "docs/check.md", "docs/migrate-from-aws-provider.md",
		"docs/migrate-from-init-containers.md", "docs/rotation.md",
	}
}

// Runbooks is the page with the commands for each alert. The end-to-end tests run them while a region is cut off.
const Runbooks = "docs/operations.md"

// Block is a fenced block of a page that a reader pastes into a shell, or saves as a file for the commands below it.
type Block struct {
	Line   int    // of its first fence, from 1
	Text   string // without the indentation of its fences
	File   string // the file's name: <!-- file: trust.json --> is above it; empty for commands
	NotRun string // why no test runs the commands: <!-- not run: REASON --> is above it
}

var (
	fence    = regexp.MustCompile("^( *)```(.*)$")
	mark     = regexp.MustCompile(`^\s*<!-- (file|not run): (.*\S) -->$`)
	indented = regexp.MustCompile(`^(?: {4,}|\t)(\S+)`)
	// commands are programs that a reader of these pages calls, if a line begins with their name.
	commands = []string{
		"aws", "curl", "docker", "eksctl", "export", "git", "go", "gh", "cosign", "helm", "jq", "kubectl", "kustomize", "make", "secrets-provider-aws",
		"bin/secrets-provider-aws", "skopeo", "syft",
	}
	otherShells = []string{"", "bash", "console", "shell", "shell-session", "zsh"}
)

// Commands returns the blocks of a page. Commands must be in fences of ```sh, so that none is overlooked: an indented block of
// commands, and a fence without a language, are errors.
func Commands(page string) ([]Block, error) {
	var (
		blocks []Block
		open   *Block // the block that has begun
		info   string // of its fence, such as "sh"
		indent int
		above  []string // kind and text of the mark above, if only empty lines are between
	)
	paragraph := false // the line above is text, so that an indented line is a part of it
	for i, line := range strings.Split(page, "\n") {
		number := i + 1
		at := fence.FindStringSubmatch(line)
		switch {
		case open != nil && at != nil && at[2] == "":
			if info == "sh" || open.File != "" {
				blocks = append(blocks, *open)
			}
			open, above, paragraph = nil, nil, false
		case open != nil:
			open.Text += line[min(indent, len(line)-len(strings.TrimLeft(line, " "))):] + "\n"
		case at != nil:
			open, info, indent = &Block{Line: number}, at[2], len(at[1])
			if slices.Contains(otherShells, info) {
				return nil, fmt.Errorf("line %d: a fence of %q: write sh for commands, or the language, or text", number, info)
			}
			switch {
			case above == nil:
			case above[0] == "file":
				open.File = above[1]
			case info == "sh":
				open.NotRun = above[1]
			default:
				return nil, fmt.Errorf("line %d: %q stands above a block of %s, not of sh", number, above[1], info)
			}
		case mark.MatchString(line):
			above = mark.FindStringSubmatch(line)[1:]
		case strings.TrimSpace(line) == "":
			paragraph = false
		default:
			if above != nil {
				return nil, fmt.Errorf("line %d: no block below the mark %q", number, above[1])
			}
			if word := indented.FindStringSubmatch(line); word != nil && !paragraph && slices.Contains(commands, word[1]) {
				return nil, fmt.Errorf("line %d: commands in an indented block: put them in a fence of sh", number)
			}
			paragraph = true
		}
	}
	if open != nil {
		return nil, fmt.Errorf("line %d: the block has no end", open.Line)
	}
	return blocks, nil
}
