package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

// attackAttributes spoils the JSON around the parameters, and the other fields of the request.
func (s *source) attackAttributes(req *v1alpha1.MountRequest) {
	good := req.GetAttributes()
	body := strings.TrimSuffix(strings.TrimPrefix(good, "{"), "}")
	switch s.IntN(12) {
	case 0: // keys twice: the last one counts
		req.Attributes = "{" + body + "," + body + `,"region":` + s.pick(`"eu-west-1"`, "7", "null", "{}") + "}"
	case 1:
		req.Attributes = "{" + body + `,"` + s.pick("x", "objects", "csi.storage.k8s.io/pod.name") + `":` + s.pick("7", "null", "true", "[]", "{}", `"\ud800"`, `"\u0000"`, "1e999") + "}"
	case 2:
		req.Attributes = strings.Repeat(s.pick("[", `{"a":`, "{", `["`), 1+s.IntN(20_000))
	case 3:
		req.Attributes = good + s.pick(" ", "\n", good, "x", "\x00", ",")
	case 4:
		req.Attributes = s.pick("", "null", "[]", "7", `""`, "{}", "\ufeff"+good, " "+good, "["+good+"]")
	case 5: // nothing of this may be repeated in a message: it may hold a token
		req.Attributes = good[:s.IntN(len(good))]
	case 6:
		req.TargetPath = s.pick("", "/", "relative", "/../..", strings.Repeat("/x", 5000), "/\x00", "/é\u202e")
	case 7:
		req.Permission = s.pick("", "0644", "-1", "511", "512", "4294967295", "99999999999999999999", "0x1a4", "420 ", "4.2e2", "\u0661", s.text())
	case 8:
		req.Secrets = s.pick("", "{}", "[]", "7", `{"a":7}`, `{"a":"`+publishMarker, publishMarker, strings.Repeat("[", 20_000))
	case 9:
		req.CurrentObjectVersion = make([]*v1alpha1.ObjectVersion, s.IntN(2000))
		for i := range req.CurrentObjectVersion {
			req.CurrentObjectVersion[i] = &v1alpha1.ObjectVersion{Id: "a", Version: "\u202e"}
		}
	case 10: // other people's names
		var attributes map[string]string
		if json.Unmarshal([]byte(good), &attributes) == nil {
			key := s.pick("csi.storage.k8s.io/pod.namespace", "csi.storage.k8s.io/serviceAccount.name", "csi.storage.k8s.io/pod.uid", "csi.storage.k8s.io/pod.name", "secretProviderClass")
			attributes[key] = s.pick("", "kube-system", "../../nodes", "a/b?x=y", s.text())
			req.Attributes = encodeJSON(attributes)
		}
	default:
		var many strings.Builder
		for i := range s.IntN(3000) {
			many.WriteString(`,"k` + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + `":""`)
		}
		req.Attributes = "{" + body + many.String() + "}"
	}
}

func appendField(out []byte, field byte, value string) []byte {
	out = append(out, field<<3|2)
	out = binary.AppendUvarint(out, uint64(len(value)))
	return append(out, value...)
}

// protobuf is a call of some method with a message that is not what it takes.
func (s *source) protobuf(good []byte) (method string, payload []byte) {
	method = s.pick(methodMount, methodMount, methodMount, methodMount, methodVersion, "/v1alpha1.CSIDriverProvider/Unmount", "/grpc.health.v1.Health/Check", "/x", "/v1alpha1.CSIDriverProvider/", "/"+strings.Repeat("x", 2000)+"/y", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
	switch s.IntN(6) {
	case 0:
		payload = make([]byte, s.IntN(300))
		for i := range payload {
			payload[i] = byte(s.IntN(256))
		}
	case 1: // a length that is not there
		payload = append(bytes.Clone(good), 0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f)
	case 2: // groups in groups
		payload = bytes.Repeat([]byte{0x0b}, 1+s.IntN(20_000))
	case 3: // no UTF-8
		payload = appendField(bytes.Clone(good), byte(1+s.IntN(4)), "\xff\xfe"+s.text())
	case 4: // unknown fields, and known ones again
		payload = appendField(appendField(bytes.Clone(good), 15, s.text()), 4, "420")
	default:
		payload = []byte(s.mutate(string(good)))
	}
	return method, payload
}

// connection is all that one connection says: HTTP/2 of a kind, with calls in it of a kind.
// timed tells that a call in it sets a deadline, after which gRPC itself says so.
func (s *source) connection(good []byte) (text []byte, timed bool) {
	var out bytes.Buffer
	if s.IntN(12) == 0 { // no HTTP/2 at all
		out.WriteString(s.pick("", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00", s.text()))
		return out.Bytes(), false
	}
	out.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&out, nil)
	framer.AllowIllegalWrites = true
	f := &frames{s, framer, false}
	f.settings()
	for i := range 1 + s.IntN(4) {
		f.stream(uint32(2*i+1), good)
		if s.IntN(3) == 0 {
			f.odd(uint32(2*i + 1))
		}
	}
	if s.IntN(3) == 0 {
		text := out.String()
		begin := min(len(http2.ClientPreface), len(text))
		return []byte(text[:begin] + s.mutate(text[begin:])), f.timed
	}
	return out.Bytes(), f.timed
}

// frames writes HTTP/2. Writing to memory does not fail.
type frames struct {
	*source
	*http2.Framer

	timed bool // a call has a deadline
}

func (f *frames) settings() {
	all := []http2.Setting{}
	for range f.IntN(4) {
		all = append(all, http2.Setting{ID: http2.SettingID(f.IntN(9)), Val: f.Uint32() >> f.IntN(32)})
	}
	_ = f.WriteSettings(all...)
}

// stream is one call, with odd headers and an odd message.
func (f *frames) stream(id uint32, good []byte) {
	headers := [][2]string{
		{":method", "POST"}, {":scheme", "http"}, {":path", methodMount}, {":authority", "localhost"}, {"content-type", "application/grpc"}, {"te", "trailers"},
	}
	switch f.IntN(8) {
	case 0:
		headers[2][1] = f.pick("", "/", "x", methodVersion, "/a/b/c", strings.Repeat("/", 10_000))
	case 1:
		f.timed = true
		headers = append(headers, [2]string{"grpc-timeout", f.pick("0n", "1n", "1u", "1m", "-1S", "99999999H", "999999999H", "x", "", "1")})
	case 2:
		headers = append(headers, [2]string{"grpc-encoding", f.pick("gzip", "identity", "snappy", "")})
	case 3:
		headers[f.IntN(len(headers))][1] = f.pick("", "GET", "text/plain", "application/grpc+json", "application/grpc+\x00", "\r\n")
	case 4:
		headers = append(headers, headers[f.IntN(len(headers))])
	case 5:
		for range f.IntN(500) {
			headers = append(headers, [2]string{"x-" + f.pick("a", "b-bin", "grpc-status", "Upper"), strings.Repeat("y", f.IntN(200))})
		}
	case 6:
		headers = append(headers, [2]string{f.pick("connection", "grpc-status", "grpc-trace-bin", ":status", "host", "grpc-tags-bin"), f.pick("close", "0", "%%%", "999")})
	}
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, h := range headers {
		_ = encoder.WriteField(hpack.HeaderField{Name: h[0], Value: h[1]})
	}
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: f.IntN(20) != 0, EndStream: f.IntN(20) == 0})
	prefix := make([]byte, 5)
	binary.BigEndian.PutUint32(prefix[1:], uint32(len(good)))
	switch f.IntN(6) {
	case 0:
		prefix[0] = byte(f.IntN(256)) // compressed, or no flag at all
	case 1:
		binary.BigEndian.PutUint32(prefix[1:], f.Uint32()>>f.IntN(32))
	}
	const window = 16 << 10 // what a frame may hold
	_ = f.WriteData(id, f.IntN(10) != 0, slices.Concat(prefix, good[:min(len(good), window-5)]))
}

// odd are frames that do not belong there.
func (f *frames) odd(id uint32) {
	for range 1 + f.IntN(100) {
		switch f.IntN(8) {
		case 0:
			_ = f.WriteRSTStream(id, http2.ErrCode(f.IntN(20)))
		case 1:
			_ = f.WritePing(f.IntN(2) == 0, [8]byte{})
		case 2:
			f.settings()
		case 3:
			_ = f.WriteWindowUpdate(id*uint32(f.IntN(3)), f.Uint32())
		case 4:
			_ = f.WriteContinuation(id, f.IntN(2) == 0, []byte{0x82})
		case 5:
			_ = f.WritePriority(id, http2.PriorityParam{StreamDep: id, Weight: 255})
		case 6:
			_ = f.WriteGoAway(f.Uint32(), http2.ErrCodeNo, []byte(f.pick(noise...)))
		default:
			_ = f.WriteRawFrame(http2.FrameType(f.IntN(256)), http2.Flags(f.IntN(256)), id, []byte(f.text()))
		}
	}
}
