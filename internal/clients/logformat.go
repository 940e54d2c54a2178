package clients

import (
	"strconv"
	"strings"
	"time"
)

// maxLogLine is how long a line of the log may become, in bytes: with its line feed
// 1023, as in C.
const maxLogLine = 1022

// defaultLogFormat is the one that C's upslog has.
const defaultLogFormat = "%TIME @Y@m@d @H@M@S% %VAR battery.charge% %VAR input.voltage% " +
	"%VAR ups.load% [%VAR ups.status%] %VAR ups.temperature% %VAR input.frequency%"

// A logFormat is a format of upslog, taken apart.
type logFormat []logField

// A logField writes one part of a line.
type logField func(b *strings.Builder, f *logFacts)

// logFacts are what a line is made of.
type logFacts struct {
	now    time.Time
	host   string // this one's name
	system string // the ups as it was given
	pid    int
	// get returns the value of a variable; ok is false if there is none.
	get func(name string) (value string, ok bool)
}

// line writes one line, without a line feed.
func (l logFormat) line(f *logFacts) string {
	var b strings.Builder
	for _, field := range l {
		field(&b, f)
	}
	s := b.String()
	return s[:min(len(s), maxLogLine)]
}

// parseLogFormat takes a format apart. What it does not understand becomes the
// word INVALID, as in C.
func parseLogFormat(format string) logFormat {
	var l logFormat
	for {
		before, rest, found := strings.Cut(format, "%")
		l = append(l, literal(before))
		if !found {
			return l
		}
		switch {
		case strings.HasPrefix(rest, "%"):
			l = append(l, literal("%"))
			format = rest[1:]
			continue
		case strings.HasPrefix(rest, "t"):
			l = append(l, literal("\t"))
			format = rest[1:]
			continue
		}
		escape, after, closed := strings.Cut(rest, "%")
		if !closed {
			return append(l, literal("INVALID"), literal(rest))
		}
		l = append(l, logEscape(escape))
		format = after
	}
}

// logEscape returns the field for what stands between two '%'. The keywords may be
// longer than they need: everything up to the first blank counts.
func logEscape(escape string) logField {
	_, arg, _ := strings.Cut(escape, " ")
	for _, k := range []struct {
		name  string
		field logField
	}{
		{"HOST", func(b *strings.Builder, f *logFacts) { b.WriteString(f.host) }},
		{"UPSHOST", func(b *strings.Builder, f *logFacts) { b.WriteString(f.system) }},
		{"PID", func(b *strings.Builder, f *logFacts) { b.WriteString(strconv.Itoa(f.pid)) }},
		{"TIME", func(b *strings.Builder, f *logFacts) {
			b.WriteString(strftime(f.now, strings.ReplaceAll(arg, "@", "%")))
		}},
		{"VAR", variable(arg)},
		{"ETIME", func(b *strings.Builder, f *logFacts) { b.WriteString(strconv.FormatInt(f.now.Unix(), 10)) }},
	} {
		if len(escape) >= len(k.name) && strings.EqualFold(escape[:len(k.name)], k.name) {
			return k.field
		}
	}
	return literal("INVALID")
}

func literal(text string) logField {
	return func(b *strings.Builder, _ *logFacts) { b.WriteString(text) }
}

func variable(name string) logField {
	if !strings.Contains(name, ".") {
		return literal("INVALID")
	}
	return func(b *strings.Builder, f *logFacts) {
		value, ok := f.get(name)
		if !ok {
			value = "NA"
		}
		b.WriteString(value)
	}
}
