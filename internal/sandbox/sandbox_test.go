package sandbox

import (
	"bytes"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"gonut/internal/memnet"
	"gonut/internal/program"
)

// play runs a script in fake time and returns the timeline.
func play(t *testing.T, script string) string {
	t.Helper()
	commands, err := ParseScript("story", strings.NewReader(script), unitNames())
	if err != nil {
		t.Fatal(err)
	}
	return start(t, "", commands)
}

// start runs a sandbox in fake time; without commands it obeys what is typed.
func start(t *testing.T, typed string, commands []Command) string {
	t.Helper()
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		var net memnet.Network
		b := &sandbox{
			env: program.Env{Stdin: strings.NewReader(typed), Stdout: &out, Listen: net.Listen, Dial: net.Dial},
			log: slog.New(slog.DiscardHandler),
		}
		if err := b.run(t.Context(), commands, commands != nil); err != nil {
			t.Fatal(err)
		}
	})
	return out.String()
}

// inOrder fails unless the patterns match lines of the timeline in this order.
func inOrder(t *testing.T, timeline string, patterns ...string) {
	t.Helper()
	lines := strings.Split(timeline, "\n")
	for _, p := range patterns {
		re := regexp.MustCompile(p)
		for len(lines) > 0 && !re.MatchString(lines[0]) {
			lines = lines[1:]
		}
		if len(lines) == 0 {
			t.Fatalf("timeline lacks %q at its place:\n%s", p, timeline)
		}
		lines = lines[1:]
	}
}

func TestOutageTravelsToTheShutdownAndBack(t *testing.T) {
	got := play(t, "5s cut\n20s lowbatt\n60s restore\n80s status\n80s quit\n")
	// What happens to several hosts at one instant may be told in any order.
	inOrder(t, got,
		`primary    sees (apc|rack): OL$`,
		`ups apc    mains power fails \(now OB DISCHRG, charge 100 %\)`,
		`primary    notifies ONBATT: UPS (apc|rack) on battery`,
		`ups apc    battery falls to 5 %`,
		`primary    decides to shut down: `,
		`primary    sets FSD on apc`,
		`primary    notifies SHUTDOWN_HOSTSYNC`,
		`secondary  is down`,
		`primary    notifies SHUTDOWN:`,
		`primary    would write POWERDOWNFLAG`,
		`primary    would run SHUTDOWNCMD: shutdown -h now`,
		`primary    is down`,
		`ups apc    would be switched off`,
		`ups apc    mains power is back`,
		`primary    has power again and starts`,
		`primary    sees (apc|rack): OL`,
		`monitor    is up`,
	)
	inOrder(t, got,
		`primary    decides to shut down: `,
		`secondary  decides to shut down: .* FSD`,
		`secondary  would run SHUTDOWNCMD: shutdown -h now`,
		`secondary  is down`,
		`primary    would run SHUTDOWNCMD: shutdown -h now`,
		`monitor    notifies COMMBAD`,
		`ups apc    mains power is back`,
	)
	if regexp.MustCompile(`monitor    (decides|would)`).MatchString(got) {
		t.Errorf("the monitoring host was shut down:\n%s", got)
	}
}

func TestOneOfTwoSuppliesIsEnough(t *testing.T) {
	got := play(t, "5s cut rack\n10s lowbatt rack\n60s restore\n70s quit\n")
	inOrder(t, got, `primary    notifies LOWBATT: UPS rack battery is low`, `primary    notifies ONLINE: UPS rack on line power`)
	if strings.Contains(got, "decides to shut down") {
		t.Errorf("a host was shut down although one supply was left:\n%s", got)
	}
}

func TestUnplugIsLostCommunication(t *testing.T) {
	got := play(t, "5s unplug\n40s restore\n60s replace apc\n70s quit\n")
	inOrder(t, got,
		`ups apc    the cable is pulled`,
		`primary    cannot read (apc|rack): Data stale`,
		`primary    notifies COMMBAD`,
		`monitor    notifies NOCOMM`,
		`primary    notifies COMMOK`,
		`primary    notifies REPLBATT: UPS apc battery needs to be replaced`,
	)
	if strings.Contains(got, "decides to shut down") {
		t.Errorf("lost communication on mains shut a host down:\n%s", got)
	}
}

func TestTypedCommands(t *testing.T) {
	got := start(t, "help\n\nstaus\nstatus x\nCUT apc\nquit\nrestore\n", nil)
	inOrder(t, got,
		`^  cut      mains power fails`,
		`^unknown command "staus"; did you mean status\?$`,
		`^unknown ups "x"; there are apc and rack$`,
		`ups apc    mains power fails`,
	)
	if strings.Contains(got, "is back") {
		t.Errorf("timeline = %s; want nothing after quit", got)
	}
}

func TestEndOfInputEnds(t *testing.T) {
	inOrder(t, start(t, "cut", nil), `ups rack   mains power fails`)
}

func TestCommandLine(t *testing.T) {
	for _, test := range []struct {
		args string
		code int
		want string
	}{
		{"-h", 0, "usage: nut sandbox"},
		{"--nosuch", 2, "flag provided but not defined"},
		{"cut", 2, `unexpected argument "cut"`},
		{"--script /no/such/file", 1, "/no/such/file: no such file"},
	} {
		var out bytes.Buffer
		err := run(t.Context(), program.Env{Args: append([]string{"sandbox"}, strings.Fields(test.args)...), Stdout: &out})
		if code := program.Code(err, &out); code != test.code || !strings.Contains(out.String(), test.want) {
			t.Errorf("nut sandbox %s = %d, %s; want %d, %s", test.args, code, &out, test.code, test.want)
		}
	}
}
