package main

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// notFinal are the codes after which the kubelet keeps the target directory: no pod may ever see one of them.
var notFinal = map[codes.Code]bool{
	codes.Canceled: true, codes.DeadlineExceeded: true, codes.Unavailable: true, codes.ResourceExhausted: true, codes.Aborted: true,
}

// tooLong is what gRPC itself says of a message above the provider's limit of 16 MiB, which the driver cannot
// send: what it is sent itself is bounded by 4 MiB.
const tooLong = "grpc: received message larger than max"

// maxMessage is the most of a status message, which travels in a header.
const maxMessage = 4096

// judgeStatus holds an error to what every error has to be.
func judgeStatus(code codes.Code, message string) error {
	switch {
	case code == codes.ResourceExhausted && strings.HasPrefix(message, tooLong), code == codes.Unimplemented:
		return nil
	case notFinal[code]:
		return fmt.Errorf("code %s is not final: %s", code, message)
	case strings.Contains(message, "internal error of the provider"):
		return fmt.Errorf("a defect: %s", message)
	case len(message) > maxMessage:
		return fmt.Errorf("a message of %d bytes", len(message))
	case !utf8.ValidString(message) || strings.ContainsAny(message, "\r\n\x00\x1b"):
		return fmt.Errorf("the message is not one line of text: %q", message)
	}
	if where, found := leak([]byte(message)); found {
		return fmt.Errorf("the message shows a secret: %s", where)
	}
	return nil
}

// stageOf tells how far a mount request came that was refused.
func stageOf(code codes.Code, message string) stage {
	has := func(text string) bool { return strings.Contains(message, text) }
	switch code {
	case codes.InvalidArgument:
		switch {
		case has("cannot read the CSI driver's request"):
			return atDecode
		case has("[request id ") && !has("SecretProviderClass is wrong"):
			return atFetch
		}
		return atClass
	case codes.FailedPrecondition:
		switch {
		case has("sent no pod information"), has("cannot read the pod's ServiceAccount tokens"):
			return atDecode
		case has("cannot extract"), has("is too large"), has("jmesPath"):
			return atContent
		}
		return atIdentity
	case codes.Unauthenticated:
		return atCredentials
	case codes.PermissionDenied, codes.NotFound:
		return atFetch
	case codes.Internal:
		if has("grpc:") {
			return atWire
		}
		return atFetch
	default:
		return atWire
	}
}

// judgeFiles holds a volume to what the driver's writer can take, and to what the tenant may see.
func judgeFiles(payload []byte, who tenant) error {
	var resp v1alpha1.MountResponse
	if err := proto.Unmarshal(payload, &resp); err != nil {
		return err
	}
	if len(resp.GetFiles()) == 0 || len(resp.GetFiles()) != len(resp.GetObjectVersion()) {
		return fmt.Errorf("%d files with %d versions", len(resp.GetFiles()), len(resp.GetObjectVersion()))
	}
	seen := map[string]bool{}
	for _, f := range resp.GetFiles() {
		p := f.GetPath()
		if seen[p] || path.IsAbs(p) || path.Clean(p) != p || strings.HasPrefix(p, "..") || p == "." || len(p) > 4096 || strings.ContainsRune(p, 0) {
			return fmt.Errorf("the path %q", p)
		}
		seen[p] = true
		if f.GetMode() < 0 || f.GetMode() > 0o777 {
			return fmt.Errorf("the mode %o", f.GetMode())
		}
		if err := judgeOwner(string(f.GetContents()), who); err != nil {
			return err
		}
	}
	return nil
}

// judgeOwner looks for what another tenant alone may read.
func judgeOwner(content string, who tenant) error {
	const of = valueMarker + "-of-"
	for rest := content; ; {
		_, after, found := strings.Cut(rest, of)
		if !found {
			return nil
		}
		if !strings.HasPrefix(of+after, who.ownValue()) {
			return errors.New("a value of another tenant")
		}
		rest = after
	}
}

var kindSample = regexp.MustCompile(`^secrets_provider_aws_mounts_total\{phase="\w+",reason="(\w*)",result="\w+"\}$`)

// judgeCounts holds the stages, which are told from messages, to what the provider itself has counted.
func judgeCounts(r *report, before, after map[string]float64) {
	counted := map[string]int{}
	for sample, value := range after {
		if m := kindSample.FindStringSubmatch(sample); m != nil {
			counted[m[1]] += int(value - before[sample]) // first mounts and republishes
		}
	}
	parts := make([]string, 0, len(counted))
	for _, reason := range []string{"", "class", "identity", "credentials", "denied", "not_found", "content", "rejected", "transient", "internal"} {
		name := reason
		if name == "" {
			name = "ok"
		}
		parts = append(parts, name+" "+strconv.Itoa(counted[reason]))
	}
	r.figure("counted by the provider, raw connections included: %s", strings.Join(parts, ", "))
	if counted[""] == 0 {
		r.violate("the provider counts no mount")
	}
	if counted["internal"] != 0 {
		r.violate("the provider counts %d defects of its own", counted["internal"])
	}
}
