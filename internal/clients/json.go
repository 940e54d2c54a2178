package clients

import (
	"fmt"
	"io"
	"strings"
)

// jsonText quotes s as JSON: blanks, control characters and bytes beyond ASCII as
// C's upsc writes them. encoding/json would also escape <, > and &.
func jsonText(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\b':
			b.WriteString(`\b`)
		case '\f':
			b.WriteString(`\f`)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		default:
			if c < ' ' {
				fmt.Fprintf(&b, `\u%04x`, c)
			} else {
				b.WriteByte(c)
			}
		}
	}
	b.WriteByte('"')
	return b.String()
}

// writeJSON writes a list ("[]") or an object ("{}") with an item a line.
func writeJSON(w io.Writer, brackets string, items []string) {
	for i, item := range items {
		items[i] = "  " + item
	}
	fmt.Fprintf(w, "%c\n%s\n%c\n", brackets[0], strings.Join(items, ",\n"), brackets[1])
}
