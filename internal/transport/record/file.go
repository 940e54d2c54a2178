package record

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// CreateFile makes a new file to be written. A file of that name becomes NAME.1, for
// it may hold what cannot be had again. Nothing but a file gives way: to rename a
// device such as /dev/null would harm the whole host, and a link may lead to one.
func CreateFile(path string, perm fs.FileMode) (*os.File, error) {
	switch fi, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case !fi.Mode().IsRegular():
		return nil, fmt.Errorf("%s is there and no regular file; choose another name", path)
	default:
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, fmt.Errorf("keep the file that is there: %w", err)
		}
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
}
