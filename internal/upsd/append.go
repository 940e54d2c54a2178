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

// maxFold is how long a name may be that fold writes into a buffer of the caller's;
// none that means anything is longer.
const maxFold = 64

// fold appends b in lower case, as names are looked up.
func fold(buf, b []byte) []byte {
	for _, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		buf = append(buf, c)
	}
	return buf
}
