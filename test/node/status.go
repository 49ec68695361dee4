package node

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Status describes in a few lines what is running in that home, and who owns it.
func Status(cfg Config) (string, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return "", err
	}
	l := layout(cfg.Home)
	r, err := readRecord(l)
	if err != nil {
		return "", err
	}
	g, err := findCgroup(l.cgroup())
	if err != nil {
		return "", err
	}
	members, err := g.members()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	running, owner := r.living()
	switch {
	case !running && len(members) == 0 && r == nil:
		fmt.Fprintf(&b, "no node in %s\n", cfg.Home)
		return b.String(), nil
	case !running:
		fmt.Fprintf(&b, "leftovers of a dead node in %s, with %d processes: the commands up and down remove them\n", cfg.Home, len(members))
		return b.String(), nil
	case owner != nil && r.Up:
		fmt.Fprintf(&b, "a node in %s, of process %d\n", cfg.Home, owner.PID)
	case owner != nil:
		fmt.Fprintf(&b, "a node in %s, starting or incomplete, of process %d\n", cfg.Home, owner.PID)
	default:
		fmt.Fprintf(&b, "a node in %s\n", cfg.Home)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Components)) {
		state := "runs"
		if !r.Components[name].alive() {
			state = "EXITED: see " + l.logs(name+".log")
		}
		fmt.Fprintf(&b, "  %-24s %7d %s\n", name, r.Components[name].PID, state)
	}
	fmt.Fprintf(&b, "  %d processes in all, API server %s, kubeconfig %s\n", len(members), l.apiServer(), l.run("kubeconfig", "admin"))
	return b.String(), nil
}
