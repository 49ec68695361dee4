//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// explain collects diagnostics in a folder below $E2E_ARTEFACTS and prints the most useful ones.
func (c *tenant) explain(ctx context.Context) {
	folder, err := artefactsFolder()
	if err != nil {
		c.t.Error(err)
		return
	}
	folder = filepath.Join(folder, c.namespace)
	if err := c.CollectArtefacts(ctx, folder); err != nil {
		c.t.Log("some artefacts are missing:", err)
	}
	calls, err := json.MarshalIndent(c.aws.CallLog(), "", "  ")
	if err == nil {
		err = os.WriteFile(filepath.Join(folder, "aws-calls.json"), calls, 0o644)
	}
	if err != nil {
		c.t.Error(err)
	}
	c.t.Logf("artefacts are in %s", folder)
	c.t.Logf("the end of the provider's log:\n%s", c.logTail(ctx, providerLabels, "provider", ""))
	c.t.Logf("errors at the end of the driver's log:\n%s", c.logTail(ctx, "app=csi-secrets-store", "secrets-store", "EW"))
}

// logTail returns the end of a container's log. If letters is set, it keeps only lines that begin with one of the letters.
func (c *tenant) logTail(ctx context.Context, labels, container, letters string) string {
	text, err := c.Kubectl(ctx, "logs", "--namespace", releaseNamespace, "--selector", labels, "--container", container, "--tail=1000", "--request-timeout=10s")
	if err != nil {
		return err.Error()
	}
	var lines []string
	for line := range strings.Lines(text) {
		if letters == "" || strings.ContainsAny(line[:1], letters) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-15):], "")
}

func artefactsFolder() (string, error) {
	if folder := os.Getenv("E2E_ARTEFACTS"); folder != "" {
		return folder, os.MkdirAll(folder, 0o755)
	}
	return os.MkdirTemp("", "e2e-artefacts-")
}

// checkLogs checks that no provider log contains a secret of this tenant or a token, at the highest verbosity.
func (c *tenant) checkLogs() {
	c.t.Helper()
	logs := 0
	err := filepath.WalkDir(c.Path("/var/log/pods"), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // the kubelet removed the log of a container that ended
			return nil
		}
		if err != nil || d.IsDir() || !strings.Contains(path, "/"+releaseNamespace+"_"+release) {
			return err
		}
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		logs++
		for _, secret := range append(c.values, "eyJhbGciOi") { // every token begins with this
			if strings.Contains(string(text), secret) {
				c.t.Errorf("the log %s contains %q", path, secret)
			}
		}
		return err
	})
	if err != nil || logs == 0 {
		c.t.Errorf("searched %d provider logs: %v", logs, err)
	}
}
