package clients

import (
	"fmt"
	"strings"
	"time"
)

// strftime formats a time as C's strftime does in the C locale. Conversions that
// are not known stay as they are written.
func strftime(t time.Time, format string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(format, "%")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		// E and O ask for a locale's own numerals, of which C's has none.
		skip := len(rest) > 1 && (rest[0] == 'E' || rest[0] == 'O')
		if skip {
			rest = rest[1:]
		}
		if rest == "" {
			b.WriteByte('%')
			return b.String()
		}
		b.WriteString(conversion(t, rest[0]))
		format = rest[1:]
	}
}

// conversion returns what stands for one letter after the '%'.
func conversion(t time.Time, letter byte) string {
	layouts := map[byte]string{
		'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'c': "Mon Jan _2 15:04:05 2006",
		'd': "02", 'D': "01/02/06", 'e': "_2", 'F': "2006-01-02", 'h': "Jan", 'H': "15", 'I': "03",
		'm': "01", 'M': "04", 'p': "PM", 'P': "pm", 'r': "03:04:05 PM", 'R': "15:04", 'S': "05",
		'T': "15:04:05", 'x': "01/02/06", 'X': "15:04:05", 'y': "06", 'Y': "2006", 'z': "-0700", 'Z': "MST",
		'j': "002",
	}
	if l, ok := layouts[letter]; ok {
		return t.Format(l)
	}
	year, week := t.ISOWeek()
	weekday := int(t.Weekday())
	switch letter {
	case '%', 'n', 't':
		return map[byte]string{'%': "%", 'n': "\n", 't': "\t"}[letter]
	case 'C':
		return fmt.Sprintf("%02d", t.Year()/100)
	case 'g':
		return fmt.Sprintf("%02d", year%100)
	case 'G':
		return fmt.Sprint(year)
	case 'k':
		return fmt.Sprintf("%2d", t.Hour())
	case 'l':
		return fmt.Sprintf("%2d", (t.Hour()+11)%12+1)
	case 's':
		return fmt.Sprint(t.Unix())
	case 'u':
		return fmt.Sprint((weekday+6)%7 + 1)
	case 'w':
		return fmt.Sprint(weekday)
	case 'U': // weeks since the first Sunday
		return fmt.Sprintf("%02d", (t.YearDay()+6-weekday)/7)
	case 'W': // weeks since the first Monday
		return fmt.Sprintf("%02d", (t.YearDay()+6-(weekday+6)%7)/7)
	case 'V':
		return fmt.Sprintf("%02d", week)
	}
	return "%" + string(letter)
}
