package fault

import (
	"regexp"
	"strconv"
	"strings"
)

var yamlRE = regexp.MustCompile(`^(?:yaml: )?(?:line ([0-9]{1,9}): )?`)

// YAML takes an error of the YAML parser apart: its line, 0 where it names none, and its reason in one line, which
// may repeat a piece of the text but nothing else.
func YAML(err error) (line int, reason string) {
	const most = 200 // bytes: an unknown anchor is repeated whole
	parts := yamlRE.FindStringSubmatch(err.Error())
	line, _ = strconv.Atoi(parts[1]) // 0 of none
	reason = OneLine(err.Error()[len(parts[0]):])
	if len(reason) > most {
		reason = strings.ToValidUTF8(reason[:most], "") + "…"
	}
	return line, reason
}
