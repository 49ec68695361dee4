package node

// HostNames returns what identifies a node on the host: the folder of the running node, and the names of its cgroup and links. all
// holds the prefixes of such names, which nodes of other homes share.
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
