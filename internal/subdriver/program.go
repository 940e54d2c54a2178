package subdriver

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"gonut/internal/conf"
	"gonut/internal/program"
)

// Families are the families of tables that there are, with the names of quirks
// that their match lines may use.
type Families map[string][]string

const usage = `usage: nut subdriver COMMAND

  check FILE…      look for mistakes; the folder of a file is its family, or -f FAMILY
  list             all tables, and where each comes from
  show NAME        the text of a table; FAMILY/NAME if two families have one
  converters       what as= may name besides the enums and curves of a table
  udev, hwdb       rules and hardware data base for the USB devices of all tables
  hardware         the page of the manual with all devices
`

// Program is the tool for device tables: nut subdriver.
func Program(families Families) program.Program {
	return program.Program{
		Name: "subdriver", Summary: "check, list and show device tables",
		Run: func(_ context.Context, e program.Env) error {
			t := tool{families: families, out: e.Stdout, layers: Layers(conf.FindPaths(e.Getenv).Conf)}
			return t.run(e.Args[1:])
		},
	}
}

type tool struct {
	families Families
	out      io.Writer
	layers   []Layer
}

func (t *tool) run(args []string) error {
	if len(args) == 0 {
		return program.Exitf(2, "%s", strings.TrimRight(usage, "\n"))
	}
	switch args[0] {
	case "check":
		return t.check(args[1:])
	case "list":
		return t.list()
	case "show":
		if len(args) == 2 {
			return t.show(args[1])
		}
	case "converters":
		help := Converters()
		for _, name := range converterNames() {
			fmt.Fprintf(t.out, "%-14s %s\n", name, help[name])
		}
		return nil
	case "udev":
		return WriteUdev(t.out, USBDevices(t.libraries()...))
	case "hwdb":
		return WriteHwdb(t.out, USBDevices(t.libraries()...))
	case "hardware":
		return WriteHardware(t.out, t.libraries()...)
	case "-h", "--help", "help":
		_, err := io.WriteString(t.out, usage)
		return err
	}
	return program.Exitf(2, "%s", strings.TrimRight(usage, "\n"))
}

func (t *tool) names() []string {
	var names []string
	for f := range t.families {
		names = append(names, f)
	}
	slices.Sort(names)
	return names
}

func (t *tool) libraries() []*Library {
	var libs []*Library
	for _, f := range t.names() {
		libs = append(libs, Load(f, t.layers))
	}
	return libs
}

// check reports all problems of the files, and fails if one of them cannot be used.
func (t *tool) check(args []string) error {
	family := ""
	if len(args) > 1 && args[0] == "-f" {
		family, args = args[1], args[2:]
	}
	if len(args) == 0 {
		return program.Exitf(2, "nut subdriver check: name the files to check")
	}
	broken := 0
	for _, file := range args {
		f := cmp.Or(family, filepath.Base(filepath.Dir(file)))
		quirks, ok := t.families[f]
		if !ok {
			if len(t.families) > 1 {
				return program.Exitf(2, "nut subdriver check: %s is in no folder of a family (%s); say which by -f", file, strings.Join(t.names(), ", "))
			}
			f = t.names()[0]
			quirks = t.families[f]
		}
		table, problems := LoadFile(f, file, t.layers)
		if usable(problems) {
			problems = append(problems, table.Check(quirks)...)
		}
		for _, p := range problems {
			word := "error"
			if p.Warning {
				word = "warning"
			}
			fmt.Fprintf(t.out, "%s: %s\n", word, p)
		}
		if !usable(problems) {
			broken++
			continue
		}
		fmt.Fprintf(t.out, "%s: %s: %d rows, %d lines that match devices\n", file, cmp.Or(table.Data(), table.Name), table.rows, len(table.Matches))
	}
	if broken > 0 {
		return program.Exitf(1, "%d of %d tables cannot be used", broken, len(args))
	}
	return nil
}

func (t *tool) list() error {
	for _, l := range t.libraries() {
		for _, table := range l.Tables {
			devices := 0
			for _, m := range table.Matches {
				devices += len(m.IDs)
			}
			origin := "built in"
			if filepath.IsAbs(table.Origin) {
				origin = table.Origin
			}
			fmt.Fprintf(t.out, "%-7s %-12s %-28s %4d rows %4d devices  %s\n", table.Family, table.Name, table.Data(), table.rows, devices, origin)
		}
		for _, p := range l.Problems {
			fmt.Fprintf(t.out, "problem: %s\n", p)
		}
	}
	return nil
}

func (t *tool) show(name string) error {
	family, short, ok := strings.Cut(name, "/")
	if !ok {
		family, short = "", name
	}
	var known []string
	for _, l := range t.libraries() {
		for _, table := range l.Tables {
			if table.Name == short && (family == "" || family == table.Family) {
				fmt.Fprintf(t.out, "# %s\n%s", cmp.Or(table.Origin, table.Name), table.Text())
				return nil
			}
			known = append(known, table.Name)
		}
	}
	return program.Exitf(1, "nut subdriver show: there is no table %s (%s)", name, mean(short, known))
}
