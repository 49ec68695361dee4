package check

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"secrets-provider-aws/internal/fault"
)

// Limits of the input, far above the largest chart, so that hostile manifests cannot overload a CI machine.
const (
	maxInput     = 64 << 20 // bytes of all files together
	maxDocuments = 20_000
)

// Stdin is the path for standard input. Findings show it as stdinName.
const (
	Stdin     = "-"
	stdinName = "<stdin>"
)

// document is one YAML document of a file.
type document struct {
	file  string
	text  string // from its first line
	first int    // number of its first line in the file
	root  *yaml.Node
}

// place is a position: line and column count from 1, and are 0 for none.
type place struct {
	file         string
	line, column int
}

func (d *document) at(node *yaml.Node) place {
	if node == nil {
		return place{file: d.file, line: d.first, column: 1}
	}
	return place{file: d.file, line: d.first - 1 + node.Line, column: node.Column}
}

// reader collects the documents of files.
type reader struct {
	documents []*document
	files     []string                                   // in the order of reading
	broken    func(at place, format string, args ...any) // called for each document that is not valid YAML
	left      int64                                      // remaining bytes
}

// read reads a file, standard input or, recursively, the manifests of a directory.
func (r *reader) read(path string, stdin io.Reader) error {
	if path == Stdin {
		return r.stream(stdinName, stdin)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return r.file(path)
	}
	return filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != path && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case entry.Type().IsRegular() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name)):
			return r.file(name)
		}
		return nil
	})
}

func (r *reader) file(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	return r.stream(path, f)
}

func (r *reader) stream(name string, from io.Reader) error {
	r.files = append(r.files, name)
	text, err := io.ReadAll(io.LimitReader(from, r.left+1))
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	r.left -= int64(len(text))
	if r.left < 0 {
		return fmt.Errorf("read %s: the manifests are larger than %d MiB together: check fewer at once", name, maxInput>>20)
	}
	return r.split(name, string(bytes.TrimPrefix(text, []byte("\ufeff"))))
}

// split parses the documents of a file one by one, so that a broken one does not hide the others.
// A line that begins with --- separates documents, even inside a scalar.
func (r *reader) split(file, text string) error {
	start, line, first, content := 0, 0, 1, false
	for offset := 0; offset < len(text); {
		line++
		end := len(text)
		if n := strings.IndexByte(text[offset:], '\n'); n >= 0 {
			end = offset + n + 1
		}
		switch l := strings.TrimRight(text[offset:end], "\r\n"); {
		case l == "---" || strings.HasPrefix(l, "--- ") || strings.HasPrefix(l, "---\t"):
			if content {
				if err := r.parse(file, text[start:offset], first); err != nil {
					return err
				}
				start, first, content = offset, line, false
			}
			content = content || len(l) > len("--- ")
		case strings.TrimSpace(l) != "" && l[0] != '#' && l[0] != '%':
			content = true
		}
		offset = end
	}
	return r.parse(file, text[start:], first)
}

func (r *reader) parse(file, text string, first int) error {
	decoder := yaml.NewDecoder(bufio.NewReader(strings.NewReader(text)))
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			line, reason := fault.YAML(err)
			hint := ""
			if strings.Contains(text, "{{") {
				hint = " (is this a template? check the output of helm template)"
			}
			r.broken(place{file: file, line: first - 1 + max(line, 1), column: 1}, "is not valid YAML: %s%s", reason, hint)
			return nil
		}
		if len(node.Content) == 0 {
			continue
		}
		if len(r.documents) == maxDocuments {
			return fmt.Errorf("read %s: more than %d documents together: check fewer at once", file, maxDocuments)
		}
		if size := (sizes{}); size.of(&node, true) > maxExpansion*size.of(&node, false)+maxAliased {
			r.broken(place{file: file, line: first - 1 + node.Content[0].Line, column: node.Content[0].Column}, "is too large with its YAML aliases expanded")
			continue
		}
		r.documents = append(r.documents, &document{file: file, text: text, first: first, root: node.Content[0]})
	}
}

// A document is hostile if its aliases expand to much more than its text. The limit is maxExpansion times its size plus
// maxAliased.
const (
	maxExpansion = 10
	maxAliased   = 1 << 20
)

// sizes caches the sizes of a document's nodes. A node that is being measured counts as endless, which ends loops.
type sizes map[*yaml.Node]int

// of measures a node with its children, in nodes plus units of 16 bytes, with aliases expanded or not.
func (s sizes) of(node *yaml.Node, aliases bool) int {
	const endless = 1 << 40
	if node.Kind == yaml.AliasNode {
		if !aliases {
			return 1
		}
		node = node.Alias
		if n, known := s[node]; known {
			return n
		}
	}
	if aliases {
		s[node] = endless
	}
	n := 1 + len(node.Value)/16
	for _, child := range node.Content {
		n = min(n+s.of(child, aliases), endless)
	}
	if aliases {
		s[node] = n
	}
	return n
}
