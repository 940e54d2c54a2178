package clients

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// strftime formats a time as glibc's strftime does in the C locale: a conversion may
// have flags, a least width and the letter E or O before its own. Conversions that
// are not known stay as they are written.
func strftime(t time.Time, format string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(format, "%")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		c, n := parseConversion(rest)
		text, ok := c.text(t)
		if !ok { // as written, from the last '%' on
			text = "%" + rest[:n]
			text = c.pad(text[strings.LastIndexByte(text, '%'):])
		}
		b.WriteString(text)
		format = rest[n:]
	}
}

// maxTimeWidth bounds the width of a conversion. C writes nothing at all if the time
// becomes longer than a line.
const maxTimeWidth = maxLogLine

// A conversion is what stands behind a '%'.
type conversion struct {
	fill     byte // flag '_', '-' or '0'; 0: as the conversion has it
	upper    bool // flag '^'
	swap     bool // flag '#'
	width    int
	modifier byte // 'E' or 'O'; 0: none
	letter   byte // 0: the format ends before it
}

// parseConversion reads a conversion and returns how many bytes it has.
func parseConversion(s string) (c conversion, n int) {
	for ; n < len(s); n++ {
		switch s[n] {
		case '_', '-', '0':
			c.fill = s[n]
			continue
		case '^':
			c.upper = true
			continue
		case '#':
			c.swap = true
			continue
		}
		break
	}
	for ; n < len(s) && s[n] >= '0' && s[n] <= '9'; n++ {
		c.width = min(c.width*10+int(s[n]-'0'), maxTimeWidth)
	}
	if n < len(s) && (s[n] == 'E' || s[n] == 'O') {
		c.modifier = s[n]
		n++
	}
	if n < len(s) {
		c.letter = s[n]
		n++
	}
	return c, n
}

// timeTexts are the conversions to words, and those that consist of others.
var timeTexts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'h': "Jan", 'p': "PM", 'P': "pm", 'Z': "MST",
	'c': "Mon Jan _2 15:04:05 2006", 'D': "01/02/06", 'F': "2006-01-02", 'r': "03:04:05 PM", 'R': "15:04",
	'T': "15:04:05", 'x': "01/02/06", 'X': "15:04:05",
}

// misplaced are the conversions that E and O do not go with.
var misplaced = map[byte]string{'E': "aAbBDdeFHIklhjMmSUVgGWw%", 'O': "aAcxDFXY%"}

// text returns what the conversion stands for.
func (c conversion) text(t time.Time) (string, bool) {
	if c.letter == 0 || strings.IndexByte(misplaced[c.modifier], c.letter) >= 0 {
		return "", false
	}
	if layout, ok := timeTexts[c.letter]; ok {
		return c.pad(c.changeCase(t.Format(layout))), true
	}
	switch c.letter {
	case '%', 'n', 't':
		return c.pad(map[byte]string{'%': "%", 'n': "\n", 't': "\t"}[c.letter]), true
	case 's':
		return c.pad(strconv.FormatInt(t.Unix(), 10)), true
	case 'z':
		zone := t.Format("-0700")
		n, err := strconv.Atoi(zone[1:])
		return c.pad(zone[:1]) + c.number(n, 4), err == nil
	case 'e', 'k', 'l':
		if c.fill != '0' && c.fill != '-' {
			c.fill = '_'
		}
	}
	n, digits, ok := timeNumber(t, c.letter)
	return c.number(n, digits), ok
}

// timeNumber returns a part of a time as a number and how many digits it has at
// least.
func timeNumber(t time.Time, letter byte) (n, digits int, ok bool) {
	year, week := t.ISOWeek()
	weekday := int(t.Weekday())
	switch letter {
	case 'C':
		return t.Year() / 100, 2, true
	case 'd', 'e':
		return t.Day(), 2, true
	case 'g':
		return year % 100, 2, true
	case 'G':
		return year, 1, true
	case 'H', 'k':
		return t.Hour(), 2, true
	case 'I', 'l':
		return (t.Hour()+11)%12 + 1, 2, true
	case 'j':
		return t.YearDay(), 3, true
	case 'm':
		return int(t.Month()), 2, true
	case 'M':
		return t.Minute(), 2, true
	case 'S':
		return t.Second(), 2, true
	case 'u':
		return (weekday+6)%7 + 1, 1, true
	case 'U': // weeks since the first Sunday
		return (t.YearDay() + 6 - weekday) / 7, 2, true
	case 'V':
		return week, 2, true
	case 'w':
		return weekday, 1, true
	case 'W': // weeks since the first Monday
		return (t.YearDay() + 6 - (weekday+6)%7) / 7, 2, true
	case 'y':
		return t.Year() % 100, 2, true
	case 'Y':
		return t.Year(), 1, true
	}
	return 0, 0, false
}

// number writes a number that is not negative.
func (c conversion) number(n, digits int) string {
	switch digits = max(digits, c.width); c.fill {
	case '-':
		return c.pad(strconv.Itoa(n))
	case '_':
		return fmt.Sprintf("%*d", digits, n)
	}
	return fmt.Sprintf("%0*d", digits, n)
}

// changeCase does what the flags '^' and '#' say.
func (c conversion) changeCase(s string) string {
	switch lower := strings.IndexByte("pPZ", c.letter) >= 0; {
	case c.letter == 'P', c.swap && lower:
		return strings.ToLower(s)
	case c.upper, c.swap && strings.IndexByte("aAbBh", c.letter) >= 0:
		return strings.ToUpper(s)
	}
	return s
}

// pad fills a text up to the width.
func (c conversion) pad(s string) string {
	fill := " "
	if c.fill == '0' {
		fill = "0"
	}
	return strings.Repeat(fill, max(c.width-len(s), 0)) + s
}
