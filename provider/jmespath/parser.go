package jmespath

import (
	"fmt"
	"strconv"
)

// op is the operation of a node on the current value.
type op int

const (
	opCurrent op = iota
	opLiteral
	opField
	opIndex
	opSlice
	opThen       // kids[1] on the result of kids[0]: a.b, a[0] and a | b alike
	opProject    // kids[1] on each element of the list that kids[0] yields
	opProjectMap // kids[1] on each value of the object that kids[0] yields
	opFilter     // like opProject, on the elements for which kids[2] is true
	opFlatten
	opList
	opObject // kids[i] under keys[i]
	opOr
	opAnd
	opNot
	opCompare
	opCall
	opReference // &kids[0], an argument of map and similar functions
)

// node is a node of a compiled expression.
type node struct {
	op       op
	name     string // of a field or a comparator
	value    any    // of a literal
	index    int
	slice    [3]*int // start, stop, step; nil if omitted
	keys     []string
	function *function
	kids     []*node
}

var current = &node{op: opCurrent}

// powers are the binding powers of go-jmespath. Some tokens have a power although they cannot follow an expression
// (`!`, `{`, `*`, `(`). They give an error, even where go-jmespath allows an omitted comma.
var powers = map[kind]int{
	"|": 1, "||": 2, "&&": 3,
	"==": 5, "!=": 5, "<": 5, "<=": 5, ">": 5, ">=": 5,
	"[]": 9, "*": 20, "[?": 21, ".": 40, "!": 45, "{": 50, "[": 55, "(": 60,
}

// parser is a Pratt parser with the grammar of go-jmespath.
type parser struct {
	text    string
	tokens  []token
	nesting int
}

func parse(text string) (*node, error) {
	tokens, err := lex(text)
	if err != nil {
		return nil, err
	}
	p := &parser{text: text, tokens: tokens}
	root, err := p.expression(0)
	if err == nil && p.peek() != kindEnd {
		err = p.unexpected(p.tokens[0])
	}
	return root, err
}

func (p *parser) expression(power int) (*node, error) {
	if p.nesting++; p.nesting > MaxNesting {
		return nil, fmt.Errorf("the expression is nested deeper than %d levels", MaxNesting)
	}
	defer func() { p.nesting-- }()
	left, err := p.first(p.take())
	for err == nil && power < powers[p.peek()] {
		left, err = p.following(p.take(), left)
	}
	return left, err
}

// first parses an expression that begins with t.
func (p *parser) first(t token) (*node, error) {
	switch t.kind {
	case kindLiteral:
		return &node{op: opLiteral, value: t.value}, nil
	case kindName:
		if p.accept("(") {
			return p.call(t)
		}
		return &node{op: opField, name: t.text}, nil
	case kindQuoted:
		if p.peek() == "(" {
			return nil, p.fail(t, "write a function name without quotes")
		}
		return &node{op: opField, name: as[string](t.value)}, nil
	case "@":
		return current, nil
	case "*":
		if p.peek() == "]" {
			return &node{op: opProjectMap, kids: []*node{current, current}}, nil
		}
		return p.project(opProjectMap, current, powers["*"])
	case "[":
		switch {
		case p.peek() == kindNumber || p.peek() == ":":
			return p.index(current)
		case p.peek() == "*" && p.tokens[1].kind == "]":
			p.take()
			p.take()
			return p.project(opProject, current, powers["*"])
		}
		return p.list()
	case "[?", "[]":
		return p.following(t, current)
	case "{":
		return p.object()
	case "!":
		return p.binary(opNot, powers["!"])
	case "(":
		inner, err := p.expression(0)
		if err == nil {
			err = p.expect(")")
		}
		return inner, err
	case "&":
		return nil, p.fail(t, `"&" can only begin an argument of map, max_by, min_by or sort_by`)
	}
	return nil, p.unexpected(t)
}

// following parses the continuation of left that begins with t.
func (p *parser) following(t token, left *node) (*node, error) {
	switch t.kind {
	case ".":
		if p.accept("*") {
			return p.project(opProjectMap, left, powers["."])
		}
		right, err := p.afterDot(powers["."])
		return &node{op: opThen, kids: []*node{left, right}}, err
	case "|":
		return p.binary(opThen, powers["|"], left)
	case "||":
		return p.binary(opOr, powers["||"], left)
	case "&&":
		return p.binary(opAnd, powers["&&"], left)
	case "==", "!=", "<", "<=", ">", ">=":
		n, err := p.binary(opCompare, powers[t.kind], left)
		if err == nil {
			n.name = t.text
		}
		return n, err
	case "[]":
		return p.project(opProject, &node{op: opFlatten, kids: []*node{left}}, powers["[]"])
	case "[?":
		return p.filter(left)
	case "[":
		if p.peek() == kindNumber || p.peek() == ":" {
			return p.index(left)
		}
		if err := p.expect("*"); err != nil {
			return nil, err
		}
		if err := p.expect("]"); err != nil {
			return nil, err
		}
		return p.project(opProject, left, powers["*"])
	}
	return nil, p.unexpected(t)
}

// binary parses the last operand of an operator that binds by power.
func (p *parser) binary(op op, power int, kids ...*node) (*node, error) {
	last, err := p.expression(power)
	return &node{op: op, kids: append(kids, last)}, err
}

// project parses the right side of a projection of left.
func (p *parser) project(op op, left *node, power int) (*node, error) {
	right, err := p.projected(power)
	return &node{op: op, kids: []*node{left, right}}, err
}

func (p *parser) projected(power int) (*node, error) {
	switch next := p.peek(); {
	case powers[next] < 10: // the projection ends here
		return current, nil
	case next == "[" || next == "[?":
		return p.expression(power)
	case p.accept("."):
		return p.afterDot(power)
	}
	return nil, p.unexpected(p.tokens[0])
}

func (p *parser) filter(left *node) (*node, error) {
	condition, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	if err := p.expect("]"); err != nil {
		return nil, err
	}
	right := current
	if p.peek() != "[]" {
		right, err = p.projected(powers["[?"])
	}
	return &node{op: opFilter, kids: []*node{left, right, condition}}, err
}

func (p *parser) afterDot(power int) (*node, error) {
	switch {
	case p.peek() == kindName, p.peek() == kindQuoted, p.peek() == "*":
		return p.expression(power)
	case p.accept("["):
		return p.list()
	case p.accept("{"):
		return p.object()
	}
	return nil, p.unexpected(p.tokens[0])
}

// index parses `n]` or `start:stop:step]`.
func (p *parser) index(left *node) (*node, error) {
	n := &node{op: opIndex}
	var parts [3]*int
	part := 0
	for !p.accept("]") {
		t := p.take()
		switch {
		case t.kind == ":" && part < 2:
			n.op = opSlice
			part++
		case t.kind == kindNumber && parts[part] == nil:
			number, err := strconv.Atoi(t.text)
			if err != nil {
				return nil, p.fail(t, "%.40q is out of range", t.text)
			}
			if part == 2 && number == 0 {
				return nil, p.fail(t, "the step of a slice cannot be 0")
			}
			parts[part] = &number
		default:
			return nil, p.unexpected(t)
		}
	}
	whole := &node{op: opThen, kids: []*node{left, n}}
	if n.op == opIndex {
		n.index = *parts[0]
		return whole, nil
	}
	n.slice = parts
	return p.project(opProject, whole, powers["*"])
}

func (p *parser) list() (*node, error) {
	n := &node{op: opList}
	for {
		element, err := p.expression(0)
		if err != nil {
			return nil, err
		}
		n.kids = append(n.kids, element)
		if p.accept("]") {
			return n, nil
		}
		if err := p.expect(","); err != nil {
			return nil, err
		}
	}
}

// object parses `key: expression, …}`. Like go-jmespath, it does not require a comma between two pairs.
func (p *parser) object() (*node, error) {
	n := &node{op: opObject}
	for {
		key := p.take()
		switch key.kind {
		case kindName:
			n.keys = append(n.keys, key.text)
		case kindQuoted:
			n.keys = append(n.keys, as[string](key.value))
		default:
			return nil, p.unexpected(key)
		}
		if err := p.expect(":"); err != nil {
			return nil, err
		}
		value, err := p.expression(0)
		if err != nil {
			return nil, err
		}
		n.kids = append(n.kids, value)
		if p.accept("}") {
			return n, nil
		}
		p.accept(",")
	}
}

// call parses the arguments of a function up to `)`. Like go-jmespath, it does not require commas.
func (p *parser) call(name token) (*node, error) {
	f, ok := functions[name.text]
	if !ok {
		return nil, p.fail(name, "there is no function %.40q", name.text)
	}
	n := &node{op: opCall, name: name.text, function: f}
	for !p.accept(")") {
		reference := p.peek() == "&" && f.takes(len(n.kids)) == isReference
		if reference {
			p.take()
		}
		argument, err := p.expression(0)
		if err != nil {
			return nil, err
		}
		if reference {
			argument = &node{op: opReference, kids: []*node{argument}}
		}
		n.kids = append(n.kids, argument)
		p.accept(",")
	}
	switch got, want := len(n.kids), len(f.arguments); {
	case f.variadic && got < want:
		return nil, p.fail(name, "%s takes at least %d argument(s), not %d", name.text, want, got)
	case !f.variadic && got != want:
		return nil, p.fail(name, "%s takes %d argument(s), not %d", name.text, want, got)
	}
	for i, argument := range n.kids {
		if f.takes(i) == isReference && argument.op != opReference {
			return nil, p.fail(name, `argument %d of %s must begin with "&"`, i+1, name.text)
		}
	}
	return n, nil
}

func (p *parser) peek() kind { return p.tokens[0].kind }

// take consumes and returns the next token. It never consumes the end.
func (p *parser) take() token {
	t := p.tokens[0]
	if t.kind != kindEnd {
		p.tokens = p.tokens[1:]
	}
	return t
}

func (p *parser) accept(k kind) bool {
	if p.peek() != k {
		return false
	}
	p.take()
	return true
}

func (p *parser) expect(k kind) error {
	if p.accept(k) {
		return nil
	}
	return p.fail(p.tokens[0], "expected %q, found %s", string(k), p.tokens[0])
}

func (p *parser) unexpected(t token) error { return p.fail(t, "unexpected %s", t) }

func (p *parser) fail(t token, format string, args ...any) error {
	return syntaxError(p.text, t.at, format, args...)
}

// String formats a token for a message.
func (t token) String() string {
	if t.kind == kindEnd {
		return "end of the expression"
	}
	return fmt.Sprintf("%.40q", t.text)
}
