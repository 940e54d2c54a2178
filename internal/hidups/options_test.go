package hidups

import (
	"errors"
	"strings"
	"testing"

	"gonut/internal/driver"
)

// Numbers that no device can mean are refused, and name the option.
func TestOptionsOutOfRange(t *testing.T) {
	for _, test := range []struct{ option, value, want string }{
		{"interruptsize", "-5", "interruptsize = -5: this is not between 0 and 65536"},
		{"interruptsize", "99999999999999", "interruptsize = 99999999999999: this is not between"},
		{"interruptsize", "99999999999999999999", "interruptsize = 99999999999999999999: this is not between"},
		{"interruptsize", "8", ""},
		{"pollfreq", "-1", "pollfreq = -1: this is not between 0"},
		{"pollfreq", "99999999999", "pollfreq = "},
		{"lbrb_log_delay_sec", "9999999999999", "lbrb_log_delay_sec = "},
		{"lowbatt", "101", "lowbatt = 101: this is not between 0 and 100"},
		{"lowbatt", "30", ""},
		{"ondelay", "-1", ""},
		{"offdelay", "soon", "offdelay = soon: this is no whole number"},
		{"onlinedischarge_log_throttle_sec", "-1", ""},
		{"interrupt_pipe_no_events_tolerance", "-1", ""},
		{"pollonly interruptonly", "", "options pollonly and interruptonly: with both nothing is read at all"},
		{"waitbeforereconnect", "99999999999", "waitbeforereconnect = "},
	} {
		set := map[string]string{}
		for _, name := range strings.Fields(test.option) {
			set[name] = test.value
		}
		_, err := ParseOptions(driver.Values{Set: set})
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%s = %s: %v", test.option, test.value, err)
		case test.want != "" && (!errors.Is(err, driver.ErrConfig) || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%s = %s: %v; want %q", test.option, test.value, err, test.want)
		}
	}
}
