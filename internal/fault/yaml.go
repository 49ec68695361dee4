package fault

import (
	"regexp"
	"strconv"
	"strings"
)

var yamlRE = regexp.MustCompile(`^(?:yaml: )?(?:line ([0-9]{1,9}): )?`)

// YAML splits an error of the YAML parser into its line, 0 for none, and its reason in one line. The reason may
// repeat a piece of the parsed text.
func YAML(err error) (line int, reason string) {
	const most = 200 // bytes; the parser repeats an unknown anchor without limit
	parts := yamlRE.FindStringSubmatch(err.Error())
	line, _ = strconv.Atoi(parts[1]) // 0 for none
	reason = OneLine(err.Error()[len(parts[0]):])
	if len(reason) > most {
		reason = strings.ToValidUTF8(reason[:most], "") + "…"
	}
	return line, reason
}
