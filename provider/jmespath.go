package provider

import "secrets-provider-aws/provider/jmespath"

// What can go wrong with an extraction. The errors of extract wrap one of the last three and hold no value.
var (
	errNotJSON        = jmespath.ErrNotJSON
	errNoResult       = jmespath.ErrNoResult
	errResultTooLarge = jmespath.ErrResultTooLarge
	errEvaluation     = jmespath.ErrEvaluation
)

// expression is a compiled jmesPath expression, bounded in size and in what it may cost.
type expression struct{ *jmespath.Expression }

// compileExpression parses text. Its errors are one line and tell of the expression only.
func compileExpression(text string) (*expression, error) {
	e, err := jmespath.Compile(text)
	if err != nil {
		return nil, err
	}
	return &expression{e}, nil
}

// document is a JSON value parsed once per secret, for all its expressions. It prints as [redacted].
type document = jmespath.Document

// parseDocument reads exactly one JSON value; anything else is errNotJSON.
func parseDocument(value []byte) (*document, error) { return jmespath.Parse(value) }

// extract returns the content of the file that e makes of d.
func (e *expression) extract(d *document) ([]byte, error) { return e.Extract(d) }
