package node

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Mount is one line of a mountinfo file (proc_pid_mountinfo(5)).
type Mount struct {
	Device  string // of the file system, major:minor
	Root    string // path in the file system that is mounted
	Target  string // the mount point
	FSType  string // for example "tmpfs"
	Source  string // device, or a name in its place
	Options string // options of the file system, separated by commas
}

// Mounts returns the node's mounts, including the pods' volumes. It does not include mounts that only a container sees.
func (n *Node) Mounts() ([]Mount, error) {
	return readMounts(fmt.Sprintf("/proc/%d/mountinfo", n.record.Holder.PID))
}

func readMounts(path string) ([]Mount, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var mounts []Mount
	for line := range strings.Lines(string(text)) {
		// 36 35 98:0 /root /target rw,noatime shared:1 - fstype source options: the number of fields before the dash varies.
		left, right, ok := strings.Cut(strings.TrimSpace(line), " - ")
		l, r := strings.Fields(left), strings.Fields(right)
		if !ok || len(l) < 6 || len(r) < 3 {
			return nil, fmt.Errorf("%s: cannot read %q", path, line)
		}
		mounts = append(mounts, Mount{Device: l[2], Root: unescape(l[3]), Target: unescape(l[4]), FSType: r[0], Source: unescape(r[1]), Options: r[2]})
	}
	return mounts, nil
}

// unescape decodes the kernel's octal escapes, such as \040 for a space.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
