// Package tables holds the device tables that are built into the binary, one
// folder for each family. It has no code but what hands them out.
package tables

import (
	"embed"
	"io/fs"
)

//go:embed hid/*.def
var files embed.FS

// Files returns the tables as a file system: hid/apc.def and so on.
func Files() fs.FS { return files }
