//go:build !unix

package doctor

import "os"

// stat looks at a file. Owners and modes mean nothing on this system: everybody is
// allowed.
func stat(path string) (node, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return node{}, err
	}
	return node{mode: 0o777, dir: fi.IsDir()}, nil
}
