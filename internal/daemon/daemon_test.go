package daemon

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"gonut/internal/program"
)

func env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func TestDebugLevel(t *testing.T) {
	for in, want := range map[string]int{"": 0, "3": 3, " 2 ": 2, "-1": 0, "x": 0, "2x": 0} {
		if got := DebugLevel(env(map[string]string{"NUT_DEBUG_LEVEL": in})); got != want {
			t.Errorf("DebugLevel(%q) = %d; want %d", in, got, want)
		}
	}
}

func TestBannerIsQuietOnRequest(t *testing.T) {
	for in, want := range map[string]bool{"": false, "false": false, "0": false, "1": true, "true": true, "TRUE": true, "please": true} {
		var out bytes.Buffer
		Banner(program.Env{Stdout: &out, Getenv: env(map[string]string{"NUT_QUIET_INIT_BANNER": in})}, "upsd")
		if quiet := out.Len() == 0; quiet != want {
			t.Errorf("Banner with NUT_QUIET_INIT_BANNER=%q quiet = %v; want %v", in, quiet, want)
		}
	}
	if got := BannerLine("upsd"); !strings.HasPrefix(got, "Network UPS Tools upsd 2.8.") {
		t.Errorf("BannerLine(upsd) = %q; want Network UPS Tools upsd 2.8.…", got)
	}
}

func TestThrottle(t *testing.T) {
	var th Throttle
	t0 := time.Unix(1e9, 0)
	for _, step := range []struct {
		after time.Duration
		text  string
		ok    bool
		held  int
	}{
		{0, "a", true, 0},
		{time.Second, "a", false, 0},
		{2 * time.Second, "b", true, 0},
		{3 * time.Second, "b", false, 0},
		{59 * time.Second, "b", false, 0},
		{62 * time.Second, "b", true, 2},
		{181 * time.Second, "b", false, 0},
		{182 * time.Second, "b", true, 1},
		{10 * time.Hour, "b", true, 0},
	} {
		ok, held := th.Pass(t0.Add(step.after), step.text)
		if ok != step.ok || held != step.held {
			t.Errorf("Pass(%v, %q) = %v, %d; want %v, %d", step.after, step.text, ok, held, step.ok, step.held)
		}
	}
	th.Reset()
	if ok, _ := th.Pass(t0, "b"); !ok {
		t.Error("Pass after Reset = false; want true")
	}
}
