package main

import (
	"bytes"
	"strings"
	"testing"

	"gonut/internal/program"
)

// runAs runs the binary in this process.
func runAs(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	var out bytes.Buffer
	err = run(t.Context(), program.Env{
		Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" },
	})
	return out.String(), err
}

func TestLinksRunProgramsOfNUT(t *testing.T) {
	for _, name := range []string{"upsc", "sockdebug", "dummy-ups", "upsd", "nut-recorder", "/usr/bin/upsc", "upsc.exe"} {
		out, err := runAs(t, name, "-h")
		if program.Code(err, new(bytes.Buffer)) != 0 || !strings.Contains(out, "usage: ") || strings.Contains(out, "nut PROGRAM") {
			t.Errorf("%s -h = %.60q, %v; want the help of that program", name, out, err)
		}
	}
}

// A link of such a name in /usr/local/bin would take the place of the host's own
// program, as for passwd.
func TestLinksOfToolsAreNone(t *testing.T) {
	for _, name := range []string{"passwd", "run", "record", "cert", "why", "learn", "doctor", "sandbox", "subdriver"} {
		if out, err := runAs(t, name); err != nil || !strings.Contains(out, "usage: nut PROGRAM") {
			t.Errorf("a link %s = %.60q, %v; want the list of programs", name, out, err)
		}
		if _, ok := find(name); !ok {
			t.Errorf("nut %s: there is no such program", name)
		}
	}
	list, err := runAs(t, "nut")
	if err != nil {
		t.Fatal(err)
	}
	linked, tools, ok := strings.Cut(list, "\nTools, which have no links\n")
	if !ok || strings.Contains(linked, "\n  passwd ") || !strings.Contains(tools, "\n  passwd ") {
		t.Errorf("nut = %s\nwant passwd below the title of the tools, where \"make install\" stops", list)
	}
}
