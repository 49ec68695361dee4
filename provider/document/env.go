package document

import "bytes"

// identifier reports whether sh, systemd and docker all accept the name of a variable (POSIX, "Name").
func identifier(name string) bool {
	for i, c := range []byte(name) {
		switch {
		case c == '_', c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z':
		case c >= '0' && c <= '9' && i > 0:
		default:
			return false
		}
	}
	return name != ""
}

// appendEnv appends NAME=value for a POSIX shell and for systemd's EnvironmentFile, which read all three forms alike:
//
//   - a value of plain characters only, as it is. docker's --env-file, which does not know quotes, reads it alike too;
//   - any other value without a single quote, in single quotes: nothing in it has a meaning;
//   - the rest in double quotes, with a backslash before each of " \ ` $.
//
// systemd does not accept the shell's 'it'\”s: after a backslash outside of quotes it takes the next quote literally
// (systemd, src/basic/env-file.c).
func appendEnv(line []byte, p Pair) []byte {
	line = append(append(line, p.Key...), '=')
	switch {
	case plain(p.Value):
		line = append(line, p.Value...)
	case !bytes.ContainsRune(p.Value, '\''):
		line = append(append(append(line, '\''), p.Value...), '\'')
	default:
		line = append(line, '"')
		for _, c := range p.Value {
			switch c {
			case '"', '\\', '`', '$':
				line = append(line, '\\')
			}
			line = append(line, c)
		}
		line = append(line, '"')
	}
	return append(line, '\n')
}

// plain reports whether no reader gives a character of value a meaning.
func plain(value []byte) bool {
	for _, c := range value {
		switch {
		case c >= 'A' && c <= 'Z', c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case bytes.IndexByte([]byte("_@%+=:,./-"), c) >= 0:
		default:
			return false
		}
	}
	return true
}
