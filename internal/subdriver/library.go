package subdriver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"gonut/internal/subdriver/tables"
	"gonut/internal/words"
)

// A Layer is one place that tables come from.
type Layer struct {
	Name string // for messages; empty for the embedded ones
	FS   fs.FS

	embedded bool
}

// Layers returns where tables are looked for, in order: the configuration's own
// folder, the system's, and what is built in. A file found first wins over those
// of the same name.
func Layers(confPath string) []Layer {
	var ls []Layer
	for _, dir := range []string{filepath.Join(confPath, "subdrivers"), "/usr/share/nut/subdrivers"} {
		ls = append(ls, Layer{Name: dir, FS: os.DirFS(dir)})
	}
	return append(ls, Embedded()...)
}

// files returns the files of a family's tables.
func (l Layer) files(family string) []string {
	files, _ := fs.Glob(l.FS, path.Join(family, "*.def")) // the pattern is right
	return files
}

// Embedded returns only what is built in.
func Embedded() []Layer { return []Layer{{FS: tables.Files(), embedded: true}} }

// A Library is all tables of one family.
type Library struct {
	Tables   []*Table
	Problems []Problem // of files that could not be used, and warnings
	common   []*Table  // that are only there to be used by others
}

// Load reads all tables of a family. A file that has errors is left out, so that
// the next layer's file of that name serves, and its problems are reported.
//
// A driver loads them whenever it opens its device, so that a file that was mended
// counts. Where there are no files, what is built in was read before. A Library must
// not be changed.
func Load(family string, layers []Layer) *Library {
	layers = slices.DeleteFunc(slices.Clone(layers), func(l Layer) bool { return len(l.files(family)) == 0 })
	if len(layers) != 1 || !layers[0].embedded {
		return load(family, layers)
	}
	return embedded()[family]()
}

// embedded returns, by family, how to get the Library of what is built in, which is
// read when it is first asked for.
var embedded = sync.OnceValue(func() map[string]func() *Library {
	libraries := map[string]func() *Library{}
	families, _ := fs.ReadDir(tables.Files(), ".") // embedded files can be read
	for _, f := range families {
		libraries[f.Name()] = sync.OnceValue(func() *Library { return load(f.Name(), Embedded()) })
	}
	return libraries
})

func load(family string, layers []Layer) *Library {
	l := &loader{family: family, layers: layers, tables: map[string]*Table{}, busy: map[string]bool{}}
	lib := &Library{}
	for _, name := range l.names() {
		t, err := l.table(name)
		switch {
		case err != nil:
		case t.common():
			lib.common = append(lib.common, t)
		default:
			lib.Tables = append(lib.Tables, t)
		}
	}
	lib.Problems = l.problems
	return lib
}

// common reports a table that is only there to be used by others.
func (t *Table) common() bool { return t.Title == "" && len(t.Matches) == 0 }

// LoadFile reads one table from a file of the operating system, which may use the
// tables of the layers.
func LoadFile(family, file string, layers []Layer) (*Table, []Problem) {
	l := &loader{family: family, layers: layers, tables: map[string]*Table{}, busy: map[string]bool{}}
	f, err := os.Open(file)
	if err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return nil, []Problem{{File: file, Line: 1, Col: 1, Text: err.Error()}}
	}
	defer f.Close()
	return Parse(family, strings.TrimSuffix(filepath.Base(file), ".def"), file, f, l.table)
}

type loader struct {
	family   string
	layers   []Layer
	tables   map[string]*Table
	busy     map[string]bool
	problems []Problem
}

func (l *loader) names() []string {
	var names []string
	for _, layer := range l.layers {
		for _, f := range layer.files(l.family) {
			if name := strings.TrimSuffix(path.Base(f), ".def"); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return names
}

// table returns a table by name, from the first layer whose file is right.
func (l *loader) table(name string) (*Table, error) {
	if t := l.tables[name]; t != nil {
		return t, nil
	}
	if l.busy[name] {
		return nil, fmt.Errorf("table %s uses itself; a file of another name may use it", name)
	}
	l.busy[name] = true
	defer delete(l.busy, name)
	var failure error
	for i, layer := range l.layers {
		file := path.Join(l.family, name+".def")
		f, err := layer.FS.Open(file)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				l.problems = append(l.problems, Problem{File: path.Join(layer.Name, file), Line: 1, Col: 1, Text: err.Error()})
			}
			continue
		}
		t, problems := Parse(l.family, name, path.Join(layer.Name, file), f, l.table)
		f.Close()
		l.problems = append(l.problems, problems...)
		if usable(problems) {
			t.layer = i
			l.tables[name] = t
			return t, nil
		}
		failure = fmt.Errorf("%s cannot be used: %w", t.Origin, problems[0])
	}
	if failure != nil {
		return nil, failure
	}
	if n := words.Nearest(name, l.names()); n != "" {
		return nil, fmt.Errorf("there is no table %s; did you mean %s?", name, n)
	}
	return nil, fmt.Errorf("there is no table %s", name)
}

func usable(problems []Problem) bool {
	return !slices.ContainsFunc(problems, func(p Problem) bool { return !p.Warning })
}

// Table returns a table by name, nil if there is none.
func (l *Library) Table(name string) *Table {
	for _, t := range l.Tables {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// A Found is a table for a device, and the line that says so.
type Found struct {
	Table *Table
	Match *Match
}

// Find returns the table for a device: of the tables of the first layer that has one
// for it, the match line that asks for most. refused is the refusal that names the device, if no
// table does.
func (l *Library) Find(kind, id, vendor, product string) (found Found, refused *Match) {
	for _, t := range l.Tables {
		m := t.MatchOf(kind, id, vendor, product)
		switch {
		case m == nil:
		case found.Match == nil, t.layer < found.Table.layer, t.layer == found.Table.layer && m.conditions() > found.Match.conditions():
			found = Found{t, m}
		}
	}
	if found.Match != nil {
		return found, nil
	}
	for _, t := range l.Tables {
		for i := range t.Refusals {
			if m := &t.Refusals[i]; m.Kind == kind && m.accepts(id, vendor, product) {
				return Found{}, m
			}
		}
	}
	return Found{}, nil
}

// MatchOf returns the line for a device: of all match lines of a kind that accept it
// the one that asks for most; nil if there is none.
func (t *Table) MatchOf(kind, id, vendor, product string) (best *Match) {
	for i := range t.Matches {
		m := &t.Matches[i]
		if m.Kind == kind && m.accepts(id, vendor, product) && (best == nil || m.conditions() > best.conditions()) {
			best = m
		}
	}
	return best
}

// FindVendor returns a table of which a match line has the same vendor id: a
// device of that vendor that nobody has tried.
func (l *Library) FindVendor(vendorID string) (Found, bool) {
	for _, t := range l.Tables {
		for i := range t.Matches {
			m := &t.Matches[i]
			if m.Kind == "usb" && m.conditions() == 0 && slices.ContainsFunc(m.IDs, func(id string) bool { return strings.HasPrefix(id, vendorID+":") }) {
				return Found{t, m}, true
			}
		}
	}
	return Found{}, false
}

// ModelOf returns the line for a model by what the device calls itself; false if
// the table does not know it.
func (t *Table) ModelOf(product, model string) (Model, bool) {
	for _, m := range t.Models {
		if m.Product == product && m.Model == model {
			return m, true
		}
	}
	return Model{}, false
}
