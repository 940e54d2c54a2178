package conf

import (
	"math"
	"strconv"
	"strings"
	"time"

	"gonut/internal/ups"
)

// number reads a whole number as C's atoi does, within the range of a C int. ok is
// false if the text has no digit to begin with; junk after the digits is noted.
func (l line) number(text string) (n int, ok bool) {
	n = min(max(ups.Atoi(text), math.MinInt32), math.MaxInt32)
	if v, err := strconv.Atoi(strings.TrimSpace(text)); err == nil && v == n {
		return n, true
	}
	digits := strings.TrimLeft(strings.TrimSpace(text), "+-")
	if digits == "" || digits[0] < '0' || digits[0] > '9' {
		l.warn("%s wants a number and not %q; the line is ignored", l.words[0], text)
		return 0, false
	}
	l.warn("%s: %q is read as %d", l.words[0], text, n)
	return n, true
}

// strictNumber reads a whole number with nothing around it but blanks.
func strictNumber(text string) (n int, ok bool) {
	v, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
	if err != nil {
		return 0, false
	}
	return int(v), true
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// boolean reads the words of upsd.conf.
func boolean(text string) (value, ok bool) {
	switch strings.ToLower(text) {
	case "true", "on", "yes", "1":
		return true, true
	case "false", "off", "no", "0":
		return false, true
	}
	return false, false
}
