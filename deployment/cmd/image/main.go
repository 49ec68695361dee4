// Command image writes the container images of the provider, one archive for each binary, and if there are several also
// one archive for all their architectures:
//
//	go run ./deployment/cmd/image -name REPOSITORY:TAG -version 1.2.3 -revision COMMIT -out FOLDER BINARY...
//
// It prints each archive with the digest that the image has in every registry.
package main

import (
	"cmp"
	"debug/elf"
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"secrets-provider-aws/deployment/image"
)

// program is the name of the binary in the image.
const program = "secrets-provider-aws"

func main() {
	var c config
	flag.StringVar(&c.name, "name", "", "name of the image: REPOSITORY:TAG")
	flag.StringVar(&c.version, "version", "", "semantic version of the binaries")
	flag.StringVar(&c.revision, "revision", "", "commit of the source")
	flag.StringVar(&c.out, "out", ".", "folder for the archives")
	flag.Parse()
	if c.name == "" || c.version == "" || flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(c, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

type config struct{ name, version, revision, out string }

func run(c config, binaries []string) error {
	if err := os.MkdirAll(c.out, 0o750); err != nil {
		return err
	}
	var all []image.Image
	for _, binary := range binaries {
		img, err := c.image(binary)
		if err != nil {
			return err
		}
		if err := c.write("image-"+img.Arch+".tar", img); err != nil {
			return err
		}
		all = append(all, img)
	}
	if len(all) > 1 {
		return c.write("image.tar", all...)
	}
	return nil
}

// image is the image of a static binary: no shell, no libc, no package that needs a patch. The binary has the public
// certificate authorities inside.
func (c config) image(binary string) (image.Image, error) {
	arch, err := architecture(binary)
	return image.Image{
		Ref:        c.name,
		Arch:       arch,
		Entrypoint: []string{"/" + program},
		User:       "0:0", // only root can write the folder of the providers' sockets; the chart drops every capability
		Ports:      []string{"8989/tcp"},
		Labels: map[string]string{
			"org.opencontainers.image.title":       program,
			"org.opencontainers.image.description": "AWS provider of the Kubernetes Secrets Store CSI driver",
			"org.opencontainers.image.licenses":    "Apache-2.0",
			"org.opencontainers.image.version":     c.version,
			"org.opencontainers.image.revision":    cmp.Or(c.revision, "unknown"),
		},
		Files: []image.File{{Path: "/" + program, Source: binary}},
	}, err
}

func (c config) write(file string, images ...image.Image) error {
	archive := filepath.Join(c.out, file)
	digest, err := image.Write(archive, images...)
	if err != nil {
		return err
	}
	fmt.Println(archive, c.name, digest)
	return nil
}

// architecture returns the GOARCH of a Linux binary. It refuses a binary that needs a libc, which the image has not.
func architecture(binary string) (string, error) {
	f, err := elf.Open(binary)
	if err != nil {
		return "", fmt.Errorf("%s: %w (build it with GOOS=linux)", binary, err)
	}
	defer func() { _ = f.Close() }()
	if f.Section(".interp") != nil {
		return "", fmt.Errorf("%s is linked dynamically (build it with CGO_ENABLED=0)", binary)
	}
	switch f.Machine {
	case elf.EM_X86_64:
		return "amd64", nil
	case elf.EM_AARCH64:
		return "arm64", nil
	default:
		return "", fmt.Errorf("%s: no image for %s (amd64 and arm64 work)", binary, f.Machine)
	}
}
