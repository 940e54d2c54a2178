package conf

import "strings"

// A directive is one row of the table of a file that consists of lines like
// "DIRECTIVE argument…".
type directive[T any] struct {
	name string
	fold bool // the name may be written in any case
	// words is the number of words, the name included, that the line needs.
	words int
	// most is the number of words that mean something; 0: as many as there are.
	most int
	// set stores what the line says. An error makes the whole file useless.
	set func(*T, line) error
}

// readDirectives applies the lines of s to v by the table.
func readDirectives[T any](s *source, table []directive[T], v *T) error {
	for {
		l, ok := s.next()
		if !ok {
			return s.err()
		}
		d := findDirective(table, l.words[0])
		switch {
		case d == nil:
			l.warn("unknown directive %s%s; the line is ignored", l.words[0], hint(l.words[0], names(table)))
			continue
		case len(l.words) > 1 && l.words[1] == "=":
			l.warn("%s takes its value without '='; the line is ignored", d.name)
			continue
		case len(l.words) == 1:
			l.warn("%s has no value; the line is ignored", d.name)
			continue
		case len(l.words) < d.words:
			l.warn("%s wants %d values and has %d; the line is ignored", d.name, d.words-1, len(l.words)-1)
			continue
		}
		if d.most > 0 {
			l.surplus(d.most)
		}
		if err := d.set(v, l); err != nil {
			return err
		}
	}
}

func findDirective[T any](table []directive[T], name string) *directive[T] {
	for i := range table {
		if d := &table[i]; name == d.name || d.fold && strings.EqualFold(name, d.name) {
			return d
		}
	}
	return nil
}

func names[T any](table []directive[T]) []string {
	var ns []string
	for _, d := range table {
		ns = append(ns, d.name)
	}
	return ns
}
