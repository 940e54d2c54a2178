package words

import (
	"bufio"
	"io"
)

// A Scanner reads records from a file and knows on which line each began.
//
// It differs from C NUT in two harmless ways: after a broken record it goes on
// with the next line instead of the rest of the same one, and a last line that
// lacks its line feed is never lost.
type Scanner struct {
	r       *bufio.Reader
	lex     Lexer
	line    int // of the byte last read
	begin   int // where the record began
	problem error
	err     error
	eof     bool
}

// NewScanner returns a Scanner that reads from r.
func NewScanner(r io.Reader) *Scanner {
	return &Scanner{r: bufio.NewReader(r)}
}

// Scan advances to the next record that has words or a problem and reports
// whether there is one.
func (s *Scanner) Scan() bool {
	s.problem = nil
	for !s.eof {
		if s.lex.Idle() {
			s.begin = s.line + 1
		}
		chunk, err := s.r.ReadSlice('\n')
		done, problem := s.feed(chunk)
		switch {
		case err == bufio.ErrBufferFull:
		case err != nil:
			s.eof = true
			if err != io.EOF {
				s.err = err
			}
			if !done {
				done, problem = s.lex.Flush()
			}
		default:
			s.line++
		}
		if done && (s.lex.Len() > 0 || problem != nil) {
			s.problem = problem
			return true
		}
	}
	return false
}

// feed hands one chunk, at most a line, to the lexer. What follows a problem on
// the same line is passed over.
func (s *Scanner) feed(chunk []byte) (done bool, problem error) {
	_, done, problem = s.lex.Feed(chunk)
	if problem == nil {
		return done, nil
	}
	for len(chunk) > 0 && chunk[len(chunk)-1] != '\n' {
		var err error
		if chunk, err = s.r.ReadSlice('\n'); err != nil && err != bufio.ErrBufferFull {
			s.eof = true
			if err != io.EOF {
				s.err = err
			}
			break
		}
		if len(chunk) > 0 && chunk[len(chunk)-1] == '\n' {
			s.line++
		}
	}
	return done, problem
}

// Words returns the words of the record.
func (s *Scanner) Words() []string { return s.lex.Words() }

// Line is the number, from 1, of the line on which the record began.
func (s *Scanner) Line() int { return s.begin }

// QuoteLine is the line on which a quote was opened: that of the first quoted word
// that goes over a line end, or else of the last quoted word.
func (s *Scanner) QuoteLine() int { return s.begin + s.lex.opened }

// Spans reports whether a quoted word goes over a line end that no backslash
// precedes. Such line ends vanish from the word.
func (s *Scanner) Spans() bool { return s.lex.spanned }

// Problem tells what is wrong with the record, nil if nothing is.
func (s *Scanner) Problem() error { return s.problem }

// Glued reports whether a comment begins right behind a word, which may have been
// meant as a part of it.
func (s *Scanner) Glued() bool { return s.lex.glued }

// Dropped is the number of bytes of the record that the grammar refuses.
func (s *Scanner) Dropped() int { return s.lex.Dropped() }

// Cut reports whether the record lost bytes or words to the limits of the grammar.
func (s *Scanner) Cut() bool { return s.lex.Cut() }

// Err is the error that ended reading, nil at the end of the file.
func (s *Scanner) Err() error { return s.err }
