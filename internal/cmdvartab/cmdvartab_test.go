package cmdvartab

import (
	"strings"
	"testing"
)

func TestVariable(t *testing.T) {
	tab := Builtin()
	for _, c := range []struct{ name, want string }{
		{"ups.status", "State of the UPS"},
		{"UPS.Status", "State of the UPS"},
		{"upstream.ups.status", "State of the UPS"},
		{"upstream.upstream.ups.status", ""},
		{"outlet.17.current", "Current of outlet 17 (A)"},
		{"outlet.group.2.color", "Colour of outlet group 2"},
		{"output.L1-N.voltage", "Output voltage (V) (L1-N)"},
		{"input.L2.current", "Input current (A) (L2)"},
		{"ambient.3.temperature", "Temperature at the sensor (degrees C) (sensor 3)"},
		{"ambient.2.contacts.1.status", "State of contact 1 (sensor 2)"},
		{"device.2.ups.load", "Load on the UPS (percent of its rating) (device 2)"},
		{"nobody.knows.this", ""},
		{"outlet.x.current", ""},
		{"", ""},
		{".", ""},
		{"1", ""},
		{"l1.n.l2", ""},
	} {
		got, ok := tab.Variable(c.name)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("Variable(%q) = %q, %v; want %q", c.name, got, ok, c.want)
		}
	}
}

func TestCommand(t *testing.T) {
	tab := Builtin()
	if got, _ := tab.Command("Outlet.4.load.off"); got != "Switch outlet 4 off at once" {
		t.Errorf("Command(Outlet.4.load.off) = %q", got)
	}
	if got, ok := tab.Command("ups.status"); ok {
		t.Errorf("Command(ups.status) = %q; want none: it is a variable", got)
	}
}

func TestFileBeatsBuiltin(t *testing.T) {
	tab, err := Builtin().With(strings.NewReader("VARDESC ups.status \"theirs \\\"x\\\"\"\nvardesc ups.load no\nCMDDESC my.cmd \"mine\"\nVARDESC short\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := tab.Variable("ups.status"); got != "theirs 'x'" {
		t.Errorf("Variable(ups.status) = %q; want the file's, without double quotes", got)
	}
	if got, _ := tab.Variable("ups.load"); got != "Load on the UPS (percent of its rating)" {
		t.Errorf("Variable(ups.load) = %q; want the built-in one: verbs are case-sensitive", got)
	}
	if got, _ := tab.Command("my.cmd"); got != "mine" {
		t.Errorf("Command(my.cmd) = %q; want mine", got)
	}
	if got, _ := Builtin().Variable("ups.status"); got != "State of the UPS" {
		t.Errorf("With changed the built-in table: %q", got)
	}
}

// Descriptions stand between quotes without escapes in replies.
func TestTextsNeedNoEscapes(t *testing.T) {
	tab := Builtin()
	if len(tab.vars) < 200 || len(tab.cmds) < 40 {
		t.Fatalf("%d variables, %d commands; want the whole table", len(tab.vars), len(tab.cmds))
	}
	for name, text := range tab.vars {
		if strings.ContainsAny(text, "\"\\\n#") || text == "" {
			t.Errorf("text of %s = %q", name, text)
		}
	}
}
