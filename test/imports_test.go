// Package test holds what is tested across packages: the rules that all source code
// keeps, and below it recordings and whole-system stories. Nothing imports it.
package test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the path of this module.
const module = "gonut"

// A pkg is one package of the module with all its source files but the tests, those
// for other systems included.
type pkg struct {
	path  string // below the module, "internal/ups"
	name  string
	dir   string
	fset  *token.FileSet
	files []*ast.File
}

// TestRules holds all source code against the rules that docs/design.md names.
func TestRules(t *testing.T) {
	ps := packages(t)
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) { r.check(ps, t.Errorf) })
	}
}

// A reporter is told of every breach.
type reporter func(format string, args ...any)

var rules = []struct {
	name  string
	check func([]pkg, reporter)
}{
	{"imports", checkImports},
	{"indirect imports", checkIndirectImports},
	{"package names and comments", checkPackages},
	{"forbidden calls", checkCalls},
	{"init functions", checkInit},
	{"package variables", checkVariables},
	{"comments of exported names", checkComments},
	{"notes for later", checkNotes},
}

// packages lists the packages of the module.
func packages(t *testing.T) []pkg {
	t.Helper()
	watchFolders(t)
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Name,Dir,GoFiles,CgoFiles,IgnoredGoFiles", "./...")
	cmd.Dir = ".."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var ps []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var l struct {
			ImportPath, Name, Dir             string
			GoFiles, CgoFiles, IgnoredGoFiles []string
		}
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		p := pkg{path: strings.TrimPrefix(l.ImportPath, module+"/"), name: l.Name, dir: l.Dir, fset: token.NewFileSet()}
		for _, name := range slices.Concat(l.GoFiles, l.CgoFiles, l.IgnoredGoFiles) {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(p.fset, filepath.Join(l.Dir, name), nil, parser.ParseComments)
			if err != nil {
				t.Errorf("parse: %v", err)
				continue
			}
			p.files = append(p.files, f)
		}
		if len(p.files) > 0 {
			ps = append(ps, p)
		}
	}
	if len(ps) < 8 {
		t.Fatalf("go list gives %d packages; want all of the module", len(ps))
	}
	return ps
}

// watchFolders reads all folders, so that a cached result of the test is not used
// when a file is new.
func watchFolders(t *testing.T) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		name := d.Name()
		if d.IsDir() && (name == "testdata" || len(name) > 2 && name[0] == '.') {
			return fs.SkipDir
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// at tells where n is, from the root of the repository.
func (p pkg) at(n ast.Node) string {
	pos := p.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", path.Join(p.path, filepath.Base(pos.Filename)), pos.Line)
}

// imports calls f with each import of the package.
func (p pkg) imports(f func(spec *ast.ImportSpec, path string)) {
	for _, file := range p.files {
		for _, spec := range file.Imports {
			if path, err := strconv.Unquote(spec.Path.Value); err == nil {
				f(spec, path)
			}
		}
	}
}

// ours returns the path below the module of an import of ours.
func ours(imported string) (string, bool) { return strings.CutPrefix(imported, module+"/") }

// standard reports whether an import is of Go's own library.
func standard(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return first != module && !strings.Contains(first, ".")
}

// below reports whether a path is the folder or in it.
func below(p, folder string) bool { return p == folder || strings.HasPrefix(p, folder+"/") }

// driverOf returns the driver program that a package belongs to.
func driverOf(p string) string {
	rest, ok := strings.CutPrefix(p, "internal/drivers/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

// importRules say what the packages of a folder must not import themselves.
var importRules = []struct {
	folder    string
	forbidden func(from, imported string) bool
	why       string
}{
	{"internal/ups", func(_, i string) bool { return !standard(i) }, "the vocabulary stands on its own"},
	{"internal/words", func(_, i string) bool { return !standard(i) }, "the grammar stands on its own"},
	{"internal/netproto", notOursBut("internal/ups", "internal/words"), "a codec knows only words and ups"},
	{"internal/drvsock", notOursBut("internal/ups", "internal/words", "internal/netproto"), "a codec knows only words, ups and the result codes"},
	{"internal/conf", notOursBut("internal/ups", "internal/words", "internal/netproto"), "configuration is below everything that uses it"},
	{"internal/transport", notOursBut("internal/transport"), "a transport carries bytes and knows no variable"},
	{"internal/upsmon/monitor", func(_, i string) bool {
		return below(i, "os") || below(i, "net") || below(i, "log") || i == "context" || i == "syscall"
	}, "the decision has no I/O"},
	{"internal/upsd", func(_, i string) bool { return below(i, module+"/internal/drivers") }, "the server knows no driver"},
	{"internal/drivers", func(from, i string) bool {
		o, _ := ours(i)
		return driverOf(o) != "" && driverOf(o) != driverOf(from)
	}, "a driver knows no other driver"},
	{"internal", func(_, i string) bool { return below(i, module+"/cmd") || below(i, module+"/test") }, "imports go down"},
	{"upsclient", notOursBut("internal/ups", "internal/words", "internal/netproto", "internal/certs"), "the public client brings little along"},
}

// notOursBut forbids all packages of ours but those in the folders.
func notOursBut(folders ...string) func(from, imported string) bool {
	return func(_, imported string) bool {
		o, ok := ours(imported)
		return ok && !slices.ContainsFunc(folders, func(f string) bool { return below(o, f) })
	}
}

func checkImports(ps []pkg, report reporter) {
	for _, p := range ps {
		p.imports(func(spec *ast.ImportSpec, imported string) {
			for _, r := range importRules {
				if below(p.path, r.folder) && r.forbidden(p.path, imported) {
					report("%s: %s imports %s: %s", p.at(spec), p.path, imported, r.why)
				}
			}
		})
	}
}

// checkIndirectImports finds a driver below the server by any way.
func checkIndirectImports(ps []pkg, report reporter) {
	needs := make(map[string][]string)
	for _, p := range ps {
		p.imports(func(_ *ast.ImportSpec, imported string) {
			if o, ok := ours(imported); ok {
				needs[p.path] = append(needs[p.path], o)
			}
		})
	}
	for _, top := range []string{"internal/upsd", "internal/upsmon", "upsclient"} {
		seen := map[string]bool{top: true}
		for queue := []string{top}; len(queue) > 0; queue = queue[1:] {
			for _, o := range needs[queue[0]] {
				if driverOf(o) != "" {
					report("%s reaches the driver %s through %s", top, o, queue[0])
				}
				if !seen[o] {
					seen[o] = true
					queue = append(queue, o)
				}
			}
		}
	}
}

func checkPackages(ps []pkg, report reporter) {
	for _, p := range ps {
		if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "types", "base", "misc"}, p.name) {
			report("%s: package %s has a name that says nothing", p.path, p.name)
		}
		comment := ""
		for _, f := range p.files {
			if f.Doc != nil {
				comment += f.Doc.Text()
			}
		}
		if p.name == "main" && comment != "" {
			continue
		}
		if !strings.HasPrefix(comment, "Package "+p.name+" ") {
			report("%s: the package comment begins with %.40q; want one that begins with \"Package %s \"", p.path, comment, p.name)
		}
	}
}

// calls are functions that only some folders may use.
var calls = []struct {
	pkg, name string
	allowed   func(pkg) bool
	why       string
}{
	{"time", "Now", notMonitor, "time is an argument of the decision"},
	{"time", "Since", notMonitor, "time is an argument of the decision"},
	{"time", "Until", notMonitor, "time is an argument of the decision"},
	{"time", "After", notMonitor, "time is an argument of the decision"},
	{"time", "AfterFunc", notMonitor, "time is an argument of the decision"},
	{"time", "NewTimer", notMonitor, "time is an argument of the decision"},
	{"time", "NewTicker", notMonitor, "time is an argument of the decision"},
	{"time", "Sleep", notMonitor, "time is an argument of the decision"},
	{"os", "Exit", inMain, "a program returns its exit code to main"},
	{"log", "Fatal", inMain, "a program returns its error to main"},
	{"log", "Fatalf", inMain, "a program returns its error to main"},
	{"runtime", "GOOS", inMain, "what differs between systems has a file for each"},
}

func notMonitor(p pkg) bool { return !below(p.path, "internal/upsmon/monitor") }
func inMain(p pkg) bool     { return p.name == "main" }

func checkCalls(ps []pkg, report reporter) {
	for _, p := range ps {
		for _, f := range p.files {
			ast.Inspect(f, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				x, ok := sel.X.(*ast.Ident)
				if !ok {
					return true
				}
				for _, c := range calls {
					if x.Name == c.pkg && x.Obj == nil && sel.Sel.Name == c.name && !c.allowed(p) {
						report("%s: %s.%s: %s", p.at(sel), c.pkg, c.name, c.why)
					}
				}
				return true
			})
		}
	}
}

func checkInit(ps []pkg, report reporter) {
	for _, p := range ps {
		for _, f := range p.files {
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					report("%s: init function; write out what is to be called", p.at(fn))
				}
			}
		}
	}
}

// checkVariables reports variables that other packages could change,
// and those that their own package changes.
func checkVariables(ps []pkg, report reporter) {
	for _, p := range ps {
		vars := make(map[string]*ast.ValueSpec)
		for _, f := range p.files {
			for spec := range packageVars(f) {
				for _, name := range spec.Names {
					vars[name.Name] = spec
					if name.IsExported() && !strings.HasPrefix(name.Name, "Err") {
						report("%s: exported variable %s; make it a constant, a function or a field", p.at(name), name.Name)
					}
				}
				if synchronises(spec) {
					report("%s: %s guards what a whole package shares; give it an owner", p.at(spec), spec.Names[0].Name)
				}
			}
		}
		for _, f := range p.files {
			for target := range assigned(f) {
				spec, ok := vars[target.Name]
				if ok && (target.Obj == nil || target.Obj.Decl == spec) {
					report("%s: package variable %s is changed; give it an owner", p.at(target), target.Name)
				}
			}
		}
	}
}

// packageVars yields the variables that a file declares for its package.
func packageVars(f *ast.File) func(yield func(*ast.ValueSpec) bool) {
	return func(yield func(*ast.ValueSpec) bool) {
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				if !yield(s.(*ast.ValueSpec)) {
					return
				}
			}
		}
	}
}

// synchronises reports whether a variable is a lock, a counter or the like.
func synchronises(spec *ast.ValueSpec) bool {
	sel, ok := spec.Type.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && (x.Name == "sync" || x.Name == "atomic")
}

// assigned yields the names at the root of everything that a file assigns to.
func assigned(f *ast.File) func(yield func(*ast.Ident) bool) {
	return func(yield func(*ast.Ident) bool) {
		more := true
		target := func(e ast.Expr) {
			if id := root(e); id != nil && id.Name != "_" && more {
				more = yield(id)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					for _, e := range n.Lhs {
						target(e)
					}
				}
			case *ast.IncDecStmt:
				target(n.X)
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					if id, ok := n.X.(*ast.Ident); ok {
						target(id)
					}
				}
			case *ast.RangeStmt:
				if n.Tok == token.ASSIGN {
					target(n.Key)
					target(n.Value)
				}
			}
			return more
		})
	}
}

func root(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.SliceExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// checkComments asks for a comment that says what a name of the
// package means. A group of constants or variables may share one, and methods that
// every Go programmer knows need none.
func checkComments(ps []pkg, report reporter) {
	known := []string{"Error", "String", "Unwrap", "Len", "Less", "Swap", "Write", "Read", "Close"}
	for _, p := range ps {
		for _, f := range p.files {
			for _, d := range f.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					if d.Name.IsExported() && d.Doc == nil && receiverExported(d) && !(d.Recv != nil && slices.Contains(known, d.Name.Name)) {
						report("%s: %s has no comment", p.at(d), d.Name.Name)
					}
				case *ast.GenDecl:
					for _, s := range d.Specs {
						if name := exportedSpec(s); name != "" && d.Doc == nil && !specDoc(s) {
							report("%s: %s has no comment", p.at(s), name)
						}
					}
				}
			}
		}
	}
}

func receiverExported(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	e := d.Recv.List[0].Type
	if ix, ok := e.(*ast.IndexExpr); ok {
		e = ix.X
	}
	id := root(e)
	return id != nil && id.IsExported()
}

// exportedSpec returns an exported name that a declaration makes.
func exportedSpec(s ast.Spec) string {
	switch s := s.(type) {
	case *ast.TypeSpec:
		if s.Name.IsExported() {
			return s.Name.Name
		}
	case *ast.ValueSpec:
		for _, n := range s.Names {
			if n.IsExported() {
				return n.Name
			}
		}
	}
	return ""
}

func specDoc(s ast.Spec) bool {
	switch s := s.(type) {
	case *ast.TypeSpec:
		return s.Doc != nil || s.Comment != nil
	case *ast.ValueSpec:
		return s.Doc != nil || s.Comment != nil
	}
	return true
}

// checkNotes finds notes to oneself.
func checkNotes(ps []pkg, report reporter) {
	marks := []string{"TO" + "DO", "FIX" + "ME", "HA" + "CK:", "XX" + "X:"}
	for _, p := range ps {
		for _, f := range p.files {
			for _, g := range f.Comments {
				for _, m := range marks {
					if strings.Contains(g.Text(), m) {
						report("%s: %s in a comment; do it, or file an issue", p.at(g), m)
					}
				}
			}
		}
	}
}

// TestRulesAreKept breaks the rules one by one and looks whether that is found.
func TestRulesAreKept(t *testing.T) {
	for _, c := range []struct{ path, source, want string }{
		{"internal/ups", `import "gonut/internal/words"`, "internal/ups/x.go:3: internal/ups imports gonut/internal/words: the vocabulary stands on its own"},
		{"internal/words", `import "golang.org/x/sys/unix"`, "internal/words/x.go:3: internal/words imports golang.org/x/sys/unix: the grammar stands on its own"},
		{"internal/transport/usb", `import "gonut/internal/ups"`, "internal/transport/usb/x.go:3: internal/transport/usb imports gonut/internal/ups: a transport carries bytes and knows no variable"},
		{"internal/transport/hid", `import "gonut/internal/transport/usb"`, ""},
		{"internal/upsmon/monitor", `import "log/slog"`, "internal/upsmon/monitor/x.go:3: internal/upsmon/monitor imports log/slog: the decision has no I/O"},
		{"internal/upsmon/monitor", `import "net/netip"`, "internal/upsmon/monitor/x.go:3: internal/upsmon/monitor imports net/netip: the decision has no I/O"},
		{"internal/upsmon", `import "log/slog"`, ""},
		{"internal/upsd", `import "gonut/internal/drivers/dummyups"`, "internal/upsd/x.go:3: internal/upsd imports gonut/internal/drivers/dummyups: the server knows no driver; internal/upsd reaches the driver internal/drivers/dummyups through internal/upsd"},
		{"internal/drivers/a", `import "gonut/internal/drivers/b"`, "internal/drivers/a/x.go:3: internal/drivers/a imports gonut/internal/drivers/b: a driver knows no other driver"},
		{"internal/drivers/a", `import "gonut/internal/drivers/a/table"`, ""},
		{"internal/conf", `import "gonut/internal/upsd"`, "internal/conf/x.go:3: internal/conf imports gonut/internal/upsd: configuration is below everything that uses it"},
		{"internal/upsmon/monitor", "import \"time\"\nvar _ = time.Now()", "internal/upsmon/monitor/x.go:4: time.Now: time is an argument of the decision"},
		{"internal/x", "import \"os\"\nfunc f() { os.Exit(1) }", "internal/x/x.go:4: os.Exit: a program returns its exit code to main"},
		{"internal/x", "func init() {}", "internal/x/x.go:3: init function; write out what is to be called"},
		{"internal/x", "type t struct{}\nfunc (t) init() {}", ""},
		{"internal/x", "// V is one.\nvar V = 1", "internal/x/x.go:4: exported variable V; make it a constant, a function or a field"},
		{"internal/x", "import \"errors\"\n// ErrV is one.\nvar ErrV = errors.New(\"v\")", ""},
		{"internal/x", "import \"sync\"\nvar mu sync.Mutex", "internal/x/x.go:4: mu guards what a whole package shares; give it an owner"},
		{"internal/x", "var v = map[int]int{}\nfunc f() { v[1] = 2 }", "internal/x/x.go:4: package variable v is changed; give it an owner"},
		{"internal/x", "var v int\nfunc f() { v++ }", "internal/x/x.go:4: package variable v is changed; give it an owner"},
		{"internal/x", "var v int\nfunc f() *int { return &v }", "internal/x/x.go:4: package variable v is changed; give it an owner"},
		{"internal/x", "var v int\nfunc f(v int) { v++ }", ""},
		{"internal/x", "var v int\nfunc f() { v := 1; v++ }", ""},
		{"internal/x", "var _ = 1\nfunc f() { _ = 2 }", ""},
		{"internal/x", "func F() {}", "internal/x/x.go:3: F has no comment"},
		{"internal/x", "type t struct{}\nfunc (t) F() {}", ""},
		{"internal/x", "// T is one.\ntype T struct{}\nfunc (T) F() {}\nfunc (T) Error() string { return \"\" }", "internal/x/x.go:5: F has no comment"},
		{"internal/x", "type T struct{}", "internal/x/x.go:3: T has no comment"},
		{"internal/x", "// TO" + "DO: finish.", "internal/x/x.go:3: TO" + "DO in a comment; do it, or file an issue"},
		{"internal/util", "", "internal/util: package util has a name that says nothing"},
	} {
		p := pkg{path: c.path, name: path.Base(c.path), fset: token.NewFileSet()}
		text := "// Package " + p.name + " is a test.\npackage " + p.name + "\n" + c.source
		f, err := parser.ParseFile(p.fset, "x.go", text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		p.files = []*ast.File{f}
		var got []string
		for _, r := range rules {
			r.check([]pkg{p}, func(format string, args ...any) { got = append(got, fmt.Sprintf(format, args...)) })
		}
		if strings.Join(got, "; ") != c.want {
			t.Errorf("rules on %q in %s say %q; want %q", c.source, c.path, got, c.want)
		}
	}
	for text, want := range map[string]bool{"package x": true, "// Something.\npackage x": true, "// Package x is one.\npackage x": false} {
		p := pkg{path: "internal/x", name: "x", fset: token.NewFileSet()}
		f, err := parser.ParseFile(p.fset, "x.go", text, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		p.files = []*ast.File{f}
		found := false
		checkPackages([]pkg{p}, func(string, ...any) { found = true })
		if found != want {
			t.Errorf("the comment of %q is reported: %v; want %v", text, found, want)
		}
	}
}
