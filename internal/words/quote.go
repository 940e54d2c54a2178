package words

import "strings"

// AppendEscaped appends s to dst with a backslash before each '#', '\' and '"',
// so that it may stand between quotes. It stops before the escaped text exceeds
// max bytes and never splits a pair; max below 0 means no limit.
func AppendEscaped(dst []byte, s string, max int) []byte {
	if !strings.ContainsAny(s, `#\"`) {
		if max >= 0 && len(s) > max {
			s = s[:max]
		}
		return append(dst, s...)
	}
	from := len(dst)
	for i := range len(s) {
		c, need := s[i], 1
		if c == '#' || c == '\\' || c == '"' {
			need = 2
		}
		if max >= 0 && len(dst)-from+need > max {
			break
		}
		if need == 2 {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return dst
}

// AppendQuoted appends s as a quoted word.
func AppendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	dst = AppendEscaped(dst, s, -1)
	return append(dst, '"')
}

// AppendWord appends s as one word, quoted only if the grammar needs it.
func AppendWord(dst []byte, s string) []byte {
	if s == "" || strings.ContainsAny(s, " \t\v\f\r\n#\\\"=") {
		return AppendQuoted(dst, s)
	}
	return append(dst, s...)
}

// Quote returns s as one word, quoted only if the grammar needs it.
func Quote(s string) string { return string(AppendWord(nil, s)) }

// Join returns the words as one line without a line feed, each quoted if needed.
func Join(ws ...string) string {
	var b []byte
	for i, w := range ws {
		if i > 0 {
			b = append(b, ' ')
		}
		b = AppendWord(b, w)
	}
	return string(b)
}

// Split returns the words of one line; a line feed at its end is allowed. With an
// error the words found so far are returned too.
func Split(line string) ([]string, error) {
	var l Lexer
	_, done, err := l.Feed([]byte(line))
	if !done {
		_, err = l.Flush()
	}
	return l.Words(), err
}
