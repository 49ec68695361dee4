package main

import (
	"fmt"
	"strconv"
	"strings"
)

// attackClass spoils the parameter `objects`.
func attackClass(s *source, m *mount) {
	switch s.IntN(10) {
	case 0, 1, 2, 3: // a class of the corpus, or of the generator, changed a little
		m.parameters["objects"] = s.mutate(m.parameters["objects"])
	case 4, 5: // a list of the right shape with odd fields
		m.parameters["objects"] = s.oddObjects()
	case 6:
		m.parameters["objects"] = s.bomb()
	case 7:
		m.parameters["objects"] = s.tree(0)
	case 8:
		m.parameters["objects"] = s.wrongType()
	default:
		m.parameters["objects"] = s.text()
	}
	objects := m.parameters["objects"]
	m.parameters["objects"] = objects[:min(len(objects), largestText)]
}

var objectFields = []string{
	"objectName", "objectType", "objectAlias", "objectVersion", "objectVersionLabel", "filePermission", "jmesPath", "failoverObject",
	"ObjectName", "objectname", "objectAlis", "<<", "", "null", "objectEncoding",
}

// oddObjects is a list of mappings of known fields with odd values.
func (s *source) oddObjects() string {
	var out strings.Builder
	count := 1 + s.IntN(4)
	if s.IntN(40) == 0 {
		count = s.IntN(700)
	}
	for i := range count {
		fmt.Fprintf(&out, "- {objectName: %s, objectType: %s, objectAlias: f%d", s.scalar("hostile/small"), s.pick("secretsmanager", "secretsmanager", "secretsmanager", "ssmparameter", "ssm"), i)
		for range s.IntN(3) {
			fmt.Fprintf(&out, ", %s: %s", s.pick(objectFields...), s.scalar(s.pick("a", "0644", "AWSCURRENT", "AWSPREVIOUS", "[{path: user, objectAlias: u"+strconv.Itoa(i)+"}]", "{objectName: prod/db}")))
		}
		out.WriteString("}\n")
	}
	return out.String()
}

// scalar is mostly usual, else a quoted odd text, in one of YAML's ways to quote.
func (s *source) scalar(usual string) string {
	if s.IntN(4) != 0 {
		return usual
	}
	text := s.text()
	if s.IntN(30) != 0 && len(text) > 3000 {
		text = text[:3000]
	}
	switch s.IntN(3) {
	case 0:
		return "'" + strings.ReplaceAll(text, "'", "''") + "'"
	case 1:
		return text
	default:
		return strconv.Quote(text)
	}
}

// bomb is a short text that stands for much, or a long one that stands for nothing.
func (s *source) bomb() string {
	n := s.IntN(40)
	if s.IntN(10) == 0 {
		n = s.IntN(4000)
	}
	if s.IntN(200) == 0 {
		n = s.IntN(300_000)
	}
	const entry = "{objectName: hostile/small, objectType: secretsmanager}"
	switch s.IntN(16) {
	case 13: // a long text in every object
		field := s.pick("objectName", "objectAlias", "objectVersion", "objectType", "objectVersionLabel", "filePermission")
		return "- {objectType: secretsmanager, " + field + ": &n " + strings.Repeat(s.pick("a", "a/", "é", "1"), n) + "}\n" +
			strings.Repeat("- {objectType: secretsmanager, "+field+": *n}\n", min(n, 499))
	case 14: // a fault in every entry of every object
		return "- {objectName: a, objectType: secretsmanager, jmesPath: &j [" + strings.Repeat("x,", min(n, 500)) + "]}\n" +
			strings.Repeat("- {objectName: b, objectType: secretsmanager, jmesPath: *j}\n", min(n, 499))
	case 15: // a long field in every object
		return "- {objectName: a, ? &n " + strings.Repeat("a", n) + " : x}\n" + strings.Repeat("- {? *n : x}\n", min(n, 499))
	case 0: // each list holds the one before ten times
		out := "- &a0 [x,x,x,x,x,x,x,x,x,x]\n"
		for i := range min(n, 60) {
			out += fmt.Sprintf("- &a%d [%s]\n", i+1, strings.Repeat(fmt.Sprintf("*a%d,", i), 10))
		}
		return out
	case 1:
		return "- &a " + entry + "\n" + strings.Repeat("- *a\n", n)
	case 2: // itself
		return "&a\n- *a\n- {objectName: *a, jmesPath: *a, failoverObject: *a}\n"
	case 3: // all expressions are one list
		return "- {objectName: hostile/small, objectType: secretsmanager, objectAlias: b, jmesPath: &j [" + strings.Repeat("{path: user, objectAlias: u},", n) + "]}\n" +
			strings.Repeat("- {objectName: hostile/text, objectType: secretsmanager, jmesPath: *j}\n", min(n, 200))
	case 4:
		return strings.Repeat("[", n) + strings.Repeat("]", n)
	case 5:
		return strings.Repeat("{a: ", n) + strings.Repeat("}", n)
	case 6:
		return strings.Repeat("- ", n)
	case 7:
		return "- &a {objectType: secretsmanager}\n" + strings.Repeat("- {<<: *a, objectName: hostile/small}\n", min(n, 600)) + "- {<<: [*a, *a, {<<: *a}]}\n"
	case 8:
		return "- {objectName: hostile/small, objectType: secretsmanager, jmesPath: [{path: '" + strings.Repeat("a.", n) + "a', objectAlias: u}]}\n"
	case 9:
		return "- objectName: |\n" + strings.Repeat("    line\n", n) + "  objectType: secretsmanager\n"
	case 10: // many faults
		return strings.Repeat("- a\n", n)
	case 11:
		return "[" + strings.Repeat("a,", n) + "]"
	default: // many fields
		out := strings.Builder{}
		out.WriteString("- {objectName: hostile/small, objectType: secretsmanager")
		for i := range n {
			fmt.Fprintf(&out, ", f%d: 1", i)
		}
		return out.String() + "}\n"
	}
}

// tree is YAML of random shape.
func (s *source) tree(depth int) string {
	if depth > 6 || s.IntN(4) == 0 {
		return s.pick(strconv.Quote(s.pick(noise...)), s.pick(objectFields...), "*a", "&a x", "!!str 1", "!!merge a", "2001-01-01", "? a", "~")
	}
	parts := make([]string, s.IntN(5))
	for i := range parts {
		parts[i] = s.tree(depth + 1)
	}
	if s.IntN(2) == 0 {
		return "[" + strings.Join(parts, ", ") + "]"
	}
	for i := range parts {
		parts[i] = s.pick(objectFields...) + ": " + parts[i]
	}
	return s.pick("", "", "&a ", "!!map ") + "{" + strings.Join(parts, ", ") + "}"
}

// wrongType gives each place what does not belong there.
func (s *source) wrongType() string {
	value := func() string {
		return s.pick("1", "1.5", "true", "~", "[]", "{}", "[[]]", "{a: b}", "!!binary aGk=", "2001-01-01", "''", "&x y", "0x10", "1_000", "[a]", "hostile/small")
	}
	if s.IntN(4) == 0 {
		return value()
	}
	var out strings.Builder
	for range 1 + s.IntN(3) {
		fmt.Fprintf(&out, "- objectName: %s\n", s.pick("hostile/small", value()))
		fmt.Fprintf(&out, "  objectType: %s\n", s.pick("secretsmanager", value()))
		for range s.IntN(4) {
			fmt.Fprintf(&out, "  %s: %s\n", s.pick(objectFields...), value())
		}
	}
	return out.String()
}

var parameterNames = []string{
	"region", "failoverRegion", "pathTranslation", "usePodIdentity", "preferredAddressType", "roleArn", "assumeRoleArn", "externalId",
	"refreshInterval", "regoin", "objects", "secretProviderClass", "csi.storage.k8s.io/pod.name", "csi.storage.k8s.io/pod.uid", "a/b", "",
}

var parameterValues = []string{
	"eu-west-1", "us-east-1", "cn-north-1", "xx-nowhere-9", "a", "localhost", "a.b", "a@b", "-", "False", "True", "0", "é", "ipv4", "ipv6", "auto",
	"arn:aws:iam::123456789012:role/tenant-1", "arn:aws:iam::123456789012:role/vault", "arn:aws:iam::999999999999:role/x", "arn:aws:iam::1:role/",
	"payments-7", "1s", "2m", "1ns", "-1s", "99999h", "1e9s", "24h",
}

// attackParameters spoils the other parameters.
func attackParameters(s *source, m *mount) {
	for range 1 + s.IntN(3) {
		name, value := s.pick(parameterNames...), s.pick(parameterValues...)
		switch s.IntN(6) {
		case 0:
			name = s.text()
		case 1:
			value = s.text()
		case 2:
			value = s.mutate(value)
		}
		if (name == "usePodIdentity" || value == "pods") && s.IntN(10) != 0 {
			value = s.pick("maybe", "false", "", "2") // no agent is here, and looking for one takes time
		}
		m.parameters[name] = value
	}
	if s.IntN(10) == 0 { // a host for each name, if nothing bounds that
		m.parameters["region"] = fmt.Sprintf("r-%d", s.number)
	}
	if s.IntN(100) == 0 {
		for i := range s.IntN(20_000) {
			m.parameters["k"+strconv.Itoa(i)] = ""
		}
	}
	if s.IntN(30) == 0 {
		m.permission = s.text()
	}
}
