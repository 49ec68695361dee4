package provider

import (
	"secrets-provider-aws/internal/fault"
	"secrets-provider-aws/provider/class"
)

// unsupported refuses what the language has and Fetch does not read yet.
func unsupported(c class.Class) error {
	for _, o := range c.Objects {
		var field string
		switch {
		case o.Selection != nil:
			field = "a selection (* in objectName)"
		case o.Region != "" && o.Region != c.Region:
			field = "region of an object"
		case o.Optional:
			field = "optional of an object"
		default:
			continue
		}
		return &fault.Error{Kind: fault.Class, What: "cannot read " + o.Type.Noun() + " " + fault.Quote(o.Name), Why: field + " is not supported by this version", Hint: "remove it"}
	}
	return nil
}
