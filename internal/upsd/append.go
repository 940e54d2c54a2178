package upsd

import "strconv"

// appendWords appends a reply's first words, as the client spelled them, each with
// a blank behind it.
func appendWords(out []byte, word string, more ...[]byte) []byte {
	out = append(append(out, word...), ' ')
	for _, w := range more {
		out = append(append(out, w...), ' ')
	}
	return out
}

func appendLine(out []byte, text string) []byte {
	return append(append(out, text...), '\n')
}

func appendInt(out []byte, n int) []byte {
	return strconv.AppendInt(out, int64(n), 10)
}

// equalFold reports whether b is s in any case; s is in lower case.
func equalFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != s[i] {
			return false
		}
	}
	return true
}

// lookUp finds a name in any case of letters in a map whose keys are in lower case,
// which most names are already. (What is for the others is kept out of the callers'
// frames; see session.try.)
func lookUp[V any](m map[string]V, name []byte) V {
	if v, ok := m[string(name)]; ok {
		return v
	}
	return lookUpFolded(m, name)
}

//go:noinline
func lookUpFolded[V any](m map[string]V, name []byte) V {
	var buf [64]byte // a longer name means an allocation
	b := buf[:0]
	for _, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return m[string(b)]
}
