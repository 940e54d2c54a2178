package conf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"gonut/internal/words"
)

// ReadFile opens the file at path and gives it to one of the parsers. Its own
// errors tell what to do about a file that is missing or closed to us; they wrap
// those of package io/fs.
func ReadFile[T any](path string, parse func(name string, r io.Reader) (T, []Problem, error)) (T, []Problem, error) {
	var none T
	f, err := os.Open(path)
	if err != nil {
		return none, nil, explain(err)
	}
	defer f.Close()
	if fi, err := f.Stat(); err == nil && fi.IsDir() {
		return none, nil, fmt.Errorf("read %s: this is a folder and should be a file", path)
	}
	return parse(path, f)
}

func explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w; create the file, or set NUT_CONFPATH to the folder that has it", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; the file and its folder must be readable for user id %d, which this program runs as",
			err, os.Geteuid())
	}
	return err
}

// A source is a file while it is read: its records in order, and what was found
// wrong with it so far.
type source struct {
	name     string
	scan     *words.Scanner
	problems []Problem
	section  string // of ups.conf
}

func newSource(name string, r io.Reader) *source {
	return &source{name: name, scan: words.NewScanner(r)}
}

// next returns the next usable record. Broken ones become problems, as do bytes
// that C's lexer drops as well. A quote that is open at the end of the file ends
// there, as in C: the last line may be the SHUTDOWNCMD.
func (s *source) next() (line, bool) {
	for s.scan.Scan() {
		l := line{source: s, no: s.scan.Line(), words: s.scan.Words()}
		quote := s.scan.QuoteLine()
		switch err := s.scan.Problem(); {
		case errors.Is(err, words.ErrUnclosedQuote):
			s.warn(quote, "the quote that opens here is never closed; all that follows in the file is part of that word")
		case err != nil && quote != l.no:
			s.warn(l.no, "%v; the word begins on line %d; the line is ignored", err, quote)
			continue
		case err != nil:
			s.warn(l.no, "%v; the line is ignored", err)
			continue
		}
		if s.scan.Spans() && s.scan.Problem() == nil {
			s.warn(quote, "the quoted text that opens here continues on the next line, without a blank in between; is a '\"' missing?")
		}
		if n := s.scan.Dropped(); n > 0 {
			s.warn(l.no, "bytes dropped: %d; only printable ASCII is allowed, no tabs within quotes and no accented letters", n)
		}
		if s.scan.Glued() {
			s.warn(l.no, "a '#' begins a comment; if it belongs to the word before it, put the word in quotes and write \\#")
		}
		if s.scan.Cut() {
			s.warn(l.no, "the end is cut off: a word has at most %d bytes and a line at most %d words", words.MaxWord, words.MaxWords)
		}
		return l, true
	}
	return line{}, false
}

// err is the error that ended reading before the end of the file.
func (s *source) err() error {
	if err := s.scan.Err(); err != nil {
		return fmt.Errorf("read %s: %w", s.name, err)
	}
	return nil
}

func (s *source) warn(line int, format string, args ...any) {
	s.problems = append(s.problems, Problem{File: s.name, Line: line, Text: fmt.Sprintf(format, args...), Section: s.section})
}

// A line is one record of a file: at least one word.
type line struct {
	source *source
	no     int
	words  []string
}

// warn notes a problem of the line.
func (l line) warn(format string, args ...any) { l.source.warn(l.no, format, args...) }

// fatal returns the error that makes the whole file useless.
func (l line) fatal(format string, args ...any) error {
	return Problem{File: l.source.name, Line: l.no, Text: fmt.Sprintf(format, args...)}
}

// surplus warns of the words from number n on, which mean nothing.
func (l line) surplus(n int) {
	if len(l.words) > n {
		l.warn("ignored after %s: %q; text with blanks or '=' needs quotes", l.words[0], strings.Join(l.words[n:], " "))
	}
}

// header returns the name of the section that the line opens.
func (l line) header() (name string, ok bool) {
	w := l.words[0]
	if len(w) < 2 || w[0] != '[' || w[len(w)-1] != ']' {
		return "", false
	}
	return w[1 : len(w)-1], true
}

// brokenHeader reports whether the line was meant to open a section but does not.
// The lines below it must not count for the section above.
func (l line) brokenHeader() bool {
	return l.words[0][0:min(1, len(l.words[0]))] == "["
}

// hint returns ` (did you mean "x"?)` if a known word is near, or nothing.
func hint(word string, known []string) string {
	if n := words.Nearest(word, known); n != "" {
		return fmt.Sprintf("; did you mean %s?", n)
	}
	return ""
}
