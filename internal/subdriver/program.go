package subdriver

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"gonut/internal/conf"
	"gonut/internal/program"
)

// Families are the families of tables that there are, by name.
type Families map[string]Family

// A Family is what the tool has to know of the drivers behind a kind of tables.
type Family struct {
	Quirks  map[string]string // the names that tables may use, and what each is for
	Consts  map[string]string // those of match lines that the driver itself heeds, likewise
	Options []string          // of the driver that a table may set; all are numbers
	// Source reports what is wrong with the source of a row, whatever the device.
	Source func(t *Table, source string) error
	// Try plays a recording to a table and writes what users would see.
	Try func(ctx context.Context, t *Table, recording string, w io.Writer) error
}

const usage = `usage: nut subdriver COMMAND

  check FILE…          look for mistakes
  try FILE RECORDING   what the driver makes of a device that "nut learn" recorded
  list                 all tables, and where each comes from
  show NAME            the text of a table; FAMILY/NAME if two families have one
  converters           what as= may name besides the enums and curves of a table
  quirks               what tables may ask of the code
  udev, hwdb           rules and hardware data base for the USB devices of all tables
  hardware             the page of the manual with all devices

The folder of a file is its family, or -f FAMILY between COMMAND and FILE.
`

// Program is the tool for device tables: nut subdriver.
func Program(families Families) program.Program {
	return program.Program{
		Name: "subdriver", Summary: "check, list and show device tables",
		Run: func(ctx context.Context, e program.Env) error {
			t := tool{families: families, out: e.Stdout, layers: Layers(conf.FindPaths(e.Getenv).Conf)}
			return t.run(ctx, e.Args[1:])
		},
	}
}

type tool struct {
	families Families
	out      io.Writer
	layers   []Layer
}

func (t *tool) run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return program.Exitf(2, "%s", strings.TrimRight(usage, "\n"))
	}
	switch args[0] {
	case "check":
		return t.check(args[1:])
	case "try":
		return t.try(ctx, args[1:])
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
	case "quirks":
		for _, f := range t.names() {
			for _, name := range slices.Sorted(maps.Keys(t.families[f].Quirks)) {
				fmt.Fprintf(t.out, "%-7s %-14s %s\n", f, name, t.families[f].Quirks[name])
			}
			for _, name := range slices.Sorted(maps.Keys(t.families[f].Consts)) {
				fmt.Fprintf(t.out, "%-7s %-14s %s\n", f, name+"=", t.families[f].Consts[name])
			}
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

func (t *tool) names() []string { return slices.Sorted(maps.Keys(t.families)) }

func (t *tool) libraries() []*Library {
	var libs []*Library
	for _, f := range t.names() {
		libs = append(libs, Load(f, t.layers))
	}
	return libs
}

// family splits "-f FAMILY" off, and returns the family of each file.
func (t *tool) family(args []string) (rest []string, of func(file string) (string, error)) {
	given := ""
	if len(args) > 1 && args[0] == "-f" {
		given, args = args[1], args[2:]
	}
	return args, func(file string) (string, error) {
		name := cmp.Or(given, filepath.Base(filepath.Dir(file)))
		if _, ok := t.families[name]; ok {
			return name, nil
		}
		if given == "" && len(t.families) == 1 {
			return t.names()[0], nil
		}
		return "", program.Exitf(2, "nut subdriver: %s is in no folder of a family (%s); say which by -f", file, strings.Join(t.names(), ", "))
	}
}

// load reads a table and prints what is wrong with it. It returns nil if the table
// cannot be used.
func (t *tool) load(family, file string) *Table {
	table, problems := LoadFile(family, file, t.layers)
	if usable(problems) {
		problems = append(problems, table.Check(t.families[family])...)
	}
	for _, p := range problems {
		word := "error"
		if p.Warning {
			word = "warning"
		}
		fmt.Fprintf(t.out, "%s: %s\n", word, p)
	}
	if !usable(problems) {
		return nil
	}
	return table
}

// check reports all problems of the files, and fails if one of them cannot be used.
func (t *tool) check(args []string) error {
	args, familyOf := t.family(args)
	if len(args) == 0 {
		return program.Exitf(2, "nut subdriver check: name the files to check")
	}
	broken := 0
	for _, file := range args {
		family, err := familyOf(file)
		if err != nil {
			return err
		}
		table := t.load(family, file)
		if table == nil {
			broken++
			continue
		}
		fmt.Fprintf(t.out, "%s: %s: %s for %s\n", file, cmp.Or(table.Data(), table.Name), count(table.rows, "row"), count(table.devices(), "device"))
	}
	if broken > 0 {
		return program.Exitf(1, "%s of %d cannot be used", count(broken, "table"), len(args))
	}
	return nil
}

// count is a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// devices counts the ids that the table is for.
func (t *Table) devices() int {
	ids := map[string]bool{}
	for _, m := range t.Matches {
		for _, id := range m.IDs {
			ids[m.Kind+" "+id] = true
		}
	}
	return len(ids)
}

// try shows what a table makes of a recording.
func (t *tool) try(ctx context.Context, args []string) error {
	args, familyOf := t.family(args)
	if len(args) != 2 {
		return program.Exitf(2, "nut subdriver try: name a table and a recording")
	}
	family, err := familyOf(args[0])
	if err != nil {
		return err
	}
	try := t.families[family].Try
	if try == nil {
		return program.Exitf(1, "nut subdriver try: there are no recordings for %s tables", family)
	}
	table := t.load(family, args[0])
	if table == nil {
		return program.Exitf(1, "%s cannot be used", args[0])
	}
	return try(ctx, table, args[1], t.out)
}

func (t *tool) list() error {
	for _, l := range t.libraries() {
		for _, table := range l.Tables {
			origin := "built in"
			if filepath.IsAbs(table.Origin) {
				origin = table.Origin
			}
			fmt.Fprintf(t.out, "%-7s %-12s %-28s %4d rows %4d devices  %s\n", table.Family, table.Name, table.Data(), table.rows, table.devices(), origin)
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
		for _, table := range slices.Concat(l.Tables, l.common) {
			if table.Name == short && (family == "" || family == table.Family) {
				fmt.Fprintf(t.out, "# %s\n%s", cmp.Or(table.Origin, table.Name), table.Text())
				return nil
			}
			known = append(known, table.Name)
		}
	}
	return program.Exitf(1, "nut subdriver show: there is no table %s (%s)", name, mean(short, known))
}
