// Package built builds our binary for tests that run it as processes. Only tests
// import it.
package built

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// Build builds the binary in a folder and returns its path. It looks at all sources,
// so that a cached result of the tests is not used when one of them has changed. The
// caller is a test of a package two folders below the module's.
func Build(dir string) (string, error) {
	if err := watchSources(); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "nut")
	if out, err := exec.Command("go", "build", "-o", path, "gonut/cmd/nut").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build our binary: %w\n%s", err, out)
	}
	return path, nil
}

func watchSources() error {
	for _, dir := range []string{"cmd", "internal", "upsclient"} {
		err := filepath.WalkDir(filepath.Join("..", "..", dir), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				_, err = os.Stat(path)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
