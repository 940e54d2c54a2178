package netproto

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"gonut/internal/words"
)

func TestAppend(t *testing.T) {
	long := strings.Repeat("x", 300)
	for _, c := range []struct{ got, want string }{
		{string(AppendError([]byte("a\n"), ErrAccessDenied)), "a\nERR ACCESS-DENIED\n"},
		{string(AppendRow(nil, "OL", "VAR", "ups", "ups.status")), "VAR ups ups.status \"OL\"\n"},
		{string(AppendRow(nil, `a "b" \ #`, "VAR")), `VAR "a \"b\" \\ \#"` + "\n"},
		{string(AppendRow(nil, "x", "VAR", "a b")), "VAR a b \"x\"\n"}, // heads are echoed as they are
		{string(AppendRow(nil, "")), "\"\"\n"},
		{string(AppendRow(nil, long)), `"` + long[:255] + "\"\n"},
		{string(AppendValue([]byte("x"), long[:254]+`"`)), `x"` + long[:254] + `"`}, // no half pair
		{string(AppendValue(nil, long[:253]+`"`)), `"` + long[:253] + `\""`},
	} {
		if c.got != c.want {
			t.Errorf("got %q; want %q", c.got, c.want)
		}
	}
}

func TestParseError(t *testing.T) {
	for line, want := range map[string]error{
		"OK": nil, "": nil, "VAR ups x \"ERR\"": nil, "ERROR": nil, "ERRATIC x": nil, " ERR X": nil,
		"ERR ACCESS-DENIED":         ErrAccessDenied,
		"ERR UNKNOWN-UPS\r":         ErrUnknownUPS,
		"ERR DATA-STALE and a word": ErrDataStale,
		"ERR NEW-IN-VERSION-9":      Error("NEW-IN-VERSION-9"),
		"ERR":                       ErrUnknown,
		"ERR ":                      ErrUnknown,
	} {
		if got := ParseError(line); got != want {
			t.Errorf("ParseError(%q) = %v; want %v", line, got, want)
		}
	}
	err := fmt.Errorf("ask: %w", ParseError(string(AppendError(nil, ErrTooLong))))
	if !errors.Is(err, ErrTooLong) {
		t.Errorf("errors.Is(%v, ErrTooLong) = false; want true on both sides of the wire", err)
	}
}

func TestResultReply(t *testing.T) {
	for r, want := range map[Result]string{
		Pending: "PENDING", Handled: "SUCCESS", Unknown: "ERR UNKNOWN", Invalid: "ERR INVALID-ARGUMENT",
		Failed: "ERR FAILED", ConversionFailed: "ERR INVALID-ARGUMENT", 5: "ERR UNKNOWN", -2: "ERR UNKNOWN",
	} {
		if got := r.Reply(); got != want {
			t.Errorf("Result(%d).Reply() = %q; want %q", r, got, want)
		}
	}
}

// FuzzRow checks that a value survives the wire up to its longest.
func FuzzRow(f *testing.F) {
	f.Add("OL")
	f.Add(`a "b" \ # = c`)
	f.Add(strings.Repeat(`"`, 200))
	f.Fuzz(func(t *testing.T, value string) {
		line := string(AppendRow(nil, value, "VAR", "u", "v"))
		if len(line) > len("VAR u v ")+MaxValue+3 {
			t.Errorf("AppendRow(%q) has %d bytes", value, len(line))
		}
		ws, err := words.Split(line)
		carried := strings.Map(func(r rune) rune {
			if r < 0x20 || r > 0x7F {
				return -1
			}
			return r
		}, value)
		if err != nil || len(ws) != 4 || !strings.HasPrefix(carried, ws[3]) {
			t.Errorf("AppendRow(%q) = %q reads as %q, %v", value, line, ws, err)
		}
	})
}
