package node

// HostNames are what a node of that home is known by on the host: the folder of the running node, the names of its cgroup and of
// its links, and the beginnings of such names, which nodes of other homes have too.
func HostNames(cfg Config) (folder string, own, all []string, err error) {
	cfg, err = cfg.withDefaults()
	if err != nil {
		return "", nil, nil, err
	}
	l := layout(cfg.Home)
	return l.run(), []string{l.cgroup(), l.hostLink(), l.boxLink()}, []string{cgroupPrefix, linkPrefix}, nil
}

// ReadMounts reads a mountinfo file.
var ReadMounts = readMounts
