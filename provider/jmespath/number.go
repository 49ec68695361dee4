package jmespath

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// maxDigits limits the distance between the first and the last digit in arithmetic.
// float64 spans 632.
const maxDigits = 1000

var errTooLong = fmt.Errorf("%w: a number has too many digits to compute with", ErrEvaluation)

// decimal is the value of a JSON number: 0.digits × 10^exponent, with no zeros at either end of digits.
// Zero has no digits. So 1, 1.0 and 10e-1 are equal, and digits compare as text.
type decimal struct {
	negative bool
	digits   string
	exponent int
}

// parseDecimal parses a number of any size. It refuses only an exponent of 19 or more digits.
func parseDecimal(n json.Number) (decimal, error) {
	text, negative := strings.CutPrefix(string(n), "-")
	exponent := 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		var err error
		exponent, err = strconv.Atoi(text[i+1:])
		if err != nil || exponent > math.MaxInt/2 || exponent < math.MinInt/2 {
			return decimal{}, errTooLong
		}
		text = text[:i]
	}
	whole, fraction, _ := strings.Cut(text, ".")
	exponent += len(whole)
	digits := whole + fraction
	significant := strings.TrimLeft(digits, "0")
	exponent -= len(digits) - len(significant)
	significant = strings.TrimRight(significant, "0")
	if significant == "" {
		return decimal{}, nil
	}
	return decimal{negative, significant, exponent}, nil
}

func (d decimal) sign() int {
	switch {
	case d.digits == "":
		return 0
	case d.negative:
		return -1
	}
	return 1
}

func (d decimal) compare(other decimal) int {
	sign := d.sign()
	if c := cmp.Compare(sign, other.sign()); c != 0 {
		return c
	}
	return sign * cmp.Or(cmp.Compare(d.exponent, other.exponent), strings.Compare(d.digits, other.digits))
}

// compareNumbers compares exact values: 1 equals 1.0, but two numbers with the same float64 can differ.
func (e *evaluation) compareNumbers(a, b json.Number) (int, error) {
	if err := e.charge(bytes16(len(a) + len(b))); err != nil {
		return 0, err
	}
	x, err := parseDecimal(a)
	if err != nil {
		return 0, err
	}
	y, err := parseDecimal(b)
	return x.compare(y), err
}

// total adds numbers exactly.
func (e *evaluation) total(numbers []any) (*big.Rat, error) {
	var terms []decimal
	low, high := 0, 0 // exponents after the last and before the first digit of all numbers
	for _, n := range numbers {
		text := as[json.Number](n)
		if err := e.charge(bytes16(len(text))); err != nil {
			return nil, err
		}
		d, err := parseDecimal(text)
		if err != nil {
			return nil, err
		}
		if low, high = min(low, d.exponent-len(d.digits)), max(high, d.exponent); low < -maxDigits || high > maxDigits {
			return nil, errTooLong
		}
		terms = append(terms, d)
	}
	places := high - low
	if err := e.charge(2*places + len(terms)*bytes16(places)); err != nil {
		return nil, err
	}
	sum, term := new(big.Int), new(big.Int)
	for _, d := range terms {
		if d.digits == "" {
			continue
		}
		term.SetString(d.digits+strings.Repeat("0", d.exponent-len(d.digits)-low), 10)
		if d.negative {
			term.Neg(term)
		}
		sum.Add(sum, term)
	}
	return new(big.Rat).SetFrac(sum, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(-low)), nil)), nil
}

// spell writes r exactly, or as the nearest float64 if its decimals do not end, like 1/3.
func spell(r *big.Rat) (json.Number, error) {
	if places, exact := r.FloatPrec(); exact {
		return json.Number(r.FloatString(places)), nil
	}
	f, _ := r.Float64()
	return spellFloat(f)
}

// spellFloat is the shortest text that parses to f, as encoding/json writes it.
func spellFloat(f float64) (json.Number, error) {
	text, err := json.Marshal(f)
	if err != nil { // infinite
		return "", errTooLong
	}
	return json.Number(text), nil
}

func sum(e *evaluation, args []any) (any, error) {
	total, err := e.total(as[[]any](args[0]))
	if err != nil {
		return nil, err
	}
	return spell(total)
}

func avg(e *evaluation, args []any) (any, error) {
	list := as[[]any](args[0])
	if len(list) == 0 {
		return nil, nil
	}
	total, err := e.total(list)
	if err != nil {
		return nil, err
	}
	return spell(total.Quo(total, big.NewRat(int64(len(list)), 1)))
}

func floor(e *evaluation, args []any) (any, error) {
	n, err := e.total(args)
	if err != nil {
		return nil, err
	}
	// Div is Euclidean and the denominator is positive, so this rounds down.
	return json.Number(new(big.Int).Div(n.Num(), n.Denom()).String()), nil
}

func ceil(e *evaluation, args []any) (any, error) {
	n, err := e.total(args)
	if err != nil {
		return nil, err
	}
	negated := new(big.Int).Neg(n.Num())
	return json.Number(negated.Neg(negated.Div(negated, n.Denom())).String()), nil
}

func abs(_ *evaluation, args []any) (any, error) {
	return json.Number(strings.TrimPrefix(string(as[json.Number](args[0])), "-")), nil
}

// toNumber keeps the text of a JSON number. A text that only Go accepts as a number (05, +5, .5) is converted as in
// go-jmespath, if it is so short that a float64 represents it exactly.
func toNumber(e *evaluation, args []any) (any, error) {
	text, ok := args[0].(string)
	if !ok {
		if n, ok := args[0].(json.Number); ok {
			return n, nil
		}
		return nil, nil
	}
	if err := e.charge(bytes16(len(text))); err != nil {
		return nil, err
	}
	if text != "" && (text[0] == '-' || isDigit(text[0])) && json.Valid([]byte(text)) && isDigit(text[len(text)-1]) {
		return json.Number(text), nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err == nil && len(text) <= 15 && !math.IsInf(f, 0) && !math.IsNaN(f) {
		return spellFloat(f)
	}
	return nil, nil
}
