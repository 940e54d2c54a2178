package program

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

func TestCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		text string
	}{
		{nil, 0, ""},
		{errors.New("no such ups"), 1, "no such ups\n"},
		{Exit(0), 0, ""},
		{Exit(7), 7, ""},
		{Exitf(2, "open %s: %w", "x", fs.ErrNotExist), 2, "open x: file does not exist\n"},
		{Exitf(0, "done"), 0, "done\n"},
		{fmt.Errorf("start: %w", Exitf(3, "busy")), 3, "start: busy\n"},
		{fmt.Errorf("start: %w", Exit(3)), 3, ""},
		{errors.Join(errors.New("a"), Exit(4)), 4, ""},
	} {
		var out strings.Builder
		if got := Code(c.err, &out); got != c.code || out.String() != c.text {
			t.Errorf("Code(%v) = %d and prints %q; want %d, %q", c.err, got, out.String(), c.code, c.text)
		}
	}
}

func TestExitError(t *testing.T) {
	if got := Exit(3).Error(); got != "exit status 3" {
		t.Errorf("Exit(3) says %q; want exit status 3", got)
	}
	if err := Exitf(2, "open: %w", fs.ErrPermission); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("errors.Is(%v, fs.ErrPermission) = false; want true", err)
	}
}
