package conf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// good parses a text that has nothing wrong with it.
func good[T any](t *testing.T, parse func(string, io.Reader) (T, []Problem, error), text string) T {
	t.Helper()
	c, problems, err := parse("file", strings.NewReader(text))
	if err != nil || problems != nil {
		t.Fatalf("parse(%q) has problems %v and error %v; want none", text, problems, err)
	}
	return c
}

// lenient parses a text whose problems do not matter here.
func lenient[T any](t *testing.T, parse func(string, io.Reader) (T, []Problem, error), text string) T {
	t.Helper()
	c, _, err := parse("file", strings.NewReader(text))
	if err != nil {
		t.Fatalf("parse(%q) gives error %v; want none", text, err)
	}
	return c
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s = %+v; want %+v", what, got, want)
	}
}

const upsConfText = `
maxretry = 3
pollinterval = 5
DEBUG_MIN = 2
nowait

[apc]   # the first one
	driver = usbhid-ups
	port = auto
	desc = "The \"big\" one"
	vendorid = 051d
	ignorelb
	override.battery.charge.low = 30
	pollinterval = 1
	VendorID = 051e
[Other]
	driver=dummy-ups
	port = a=b
	port = "a=b"
[apc]
	desc = again
`

func TestUPSConf(t *testing.T) {
	c, problems, err := ParseUPSConf("ups.conf", strings.NewReader(upsConfText))
	same(t, "problems", problems, []Problem{{File: "ups.conf", Line: 18, Text: `ignored after port: "= b"; text with blanks or '=' needs quotes`, Section: "Other"},
		{File: "ups.conf", Line: 20, Text: "section [apc] goes on from line 7 and what is here replaces what is there; another ups needs another name", Section: "apc"}})
	same(t, "error", err, nil)
	same(t, "Global", c.Global, []Setting{
		{"maxretry", "3", false, 2}, {"pollinterval", "5", false, 3}, {"DEBUG_MIN", "2", false, 4}, {"nowait", "", true, 5},
	})
	same(t, "Sections", c.Sections, []Section{
		{"apc", 7, []Setting{
			{"driver", "usbhid-ups", false, 8}, {"port", "auto", false, 9}, {"desc", `The "big" one`, false, 10},
			{"vendorid", "051d", false, 11}, {"ignorelb", "", true, 12},
			{"override.battery.charge.low", "30", false, 13}, {"pollinterval", "1", false, 14},
			{"VendorID", "051e", false, 15}, {"desc", "again", false, 21},
		}},
		{"Other", 16, []Setting{{"driver", "dummy-ups", false, 17}, {"port", "a", false, 18}, {"port", "a=b", false, 19}}},
	})
	same(t, "Names", c.Names(), []string{"apc", "Other"})
}

func TestUPSConfLookup(t *testing.T) {
	c := lenient(t, ParseUPSConf, upsConfText)
	apc, ok := c.Section("apc")
	if !ok {
		t.Fatal("Section(apc) is not there")
	}
	if _, ok := c.Section("APC"); ok {
		t.Error("Section(APC) = [apc]; drivers find only their own spelling")
	}
	if s, ok := c.SectionFold("OTHER"); !ok || s.Name != "Other" {
		t.Errorf("SectionFold(OTHER) = %q, %v; want Other", s.Name, ok)
	}
	if _, ok := c.SectionFold("none"); ok {
		t.Error("SectionFold(none) is there")
	}
	for _, x := range []struct{ what, got, want string }{
		{"Driver", apc.Driver(), "usbhid-ups"},
		{"Port", apc.Port(), "auto"},
		{"Desc, its last line", apc.Desc(), "again"},
		{"vendorid in any case, its last line", apc.Get("vendorid"), "051e"},
		{"OVERRIDE in any case", apc.Get("OVERRIDE.battery.charge.LOW"), "30"},
		{"Desc with the wrong case", apc.Get("DESC"), ""},
		{"a setting that is not there", apc.Get("serial"), ""},
		{"a flag", apc.Get("ignorelb"), ""},
	} {
		if x.got != x.want {
			t.Errorf("%s = %q; want %q", x.what, x.got, x.want)
		}
	}
	if !apc.Has("ignorelb") || apc.Has("nolock") || apc.Has("IgnoreLB") {
		t.Errorf("Has(ignorelb, nolock, IgnoreLB) = %v, %v, %v; want true, false, false",
			apc.Has("ignorelb"), apc.Has("nolock"), apc.Has("IgnoreLB"))
	}
	for _, x := range []struct{ section, name, want string }{
		{"apc", "pollinterval", "1"}, {"Other", "pollinterval", "5"}, {"Other", "debug_min", "2"}, {"apc", "Debug_Min", "2"},
		{"Other", "POLLINTERVAL", ""},
	} {
		s, _ := c.Section(x.section)
		if set, _ := c.Lookup(s, x.name); set.Value != x.want {
			t.Errorf("Lookup(%s, %s) = %q; want %q", x.section, x.name, set.Value, x.want)
		}
	}
	if _, ok := c.Setting("nowait"); !ok {
		t.Error("Setting(nowait) is not there")
	}
	same(t, "Final", apc.Final(), []Setting{
		{"driver", "usbhid-ups", false, 8}, {"port", "auto", false, 9}, {"desc", "again", false, 21},
		{"VendorID", "051e", false, 15}, {"ignorelb", "", true, 12},
		{"override.battery.charge.low", "30", false, 13}, {"pollinterval", "1", false, 14},
	})
}

func TestUPSConfLeavesOut(t *testing.T) {
	c := lenient(t, ParseUPSConf, `
[ups]
driver = first
port = auto
[my ups]
driver = nobody
[UPS]
driver = second
port = auto
[empty]
[half]
driver = x
[UPS2]
driver = first
[ups2]
[]
driver = nobody
`)
	same(t, "Names", c.Names(), []string{"UPS", "half", "UPS2"})
	half, _ := c.Section("half")
	same(t, "Complete", []bool{c.Sections[0].Complete(), half.Complete()}, []bool{true, false})
	same(t, "driver", c.Sections[0].Driver(), "second")
}

// TestLastLineWithoutLineFeed guards what C loses: a last line of one word.
func TestLastLineWithoutLineFeed(t *testing.T) {
	c := good(t, ParseUPSConf, "[a]\ndriver = x\nport = y\nignorelb")
	if !c.Sections[0].Has("ignorelb") {
		t.Error("a flag on a last line without line feed is lost")
	}
}

// A closing quote that is missing in the last line costs nothing, as in C: a host must
// not be left without its SHUTDOWNCMD.
func TestLastQuoteIsClosedByTheEnd(t *testing.T) {
	for _, end := range []string{"", "\n", "\n\n"} {
		c := lenient(t, ParseUPSMon, "SHUTDOWNCMD \"/sbin/shutdown -h +0"+end)
		same(t, "SHUTDOWNCMD", c.ShutdownCmd, []string{"/sbin/shutdown -h +0"})
		c = lenient(t, ParseUPSMon, "MONITOR ups@h 1 user pass \"primary"+end)
		same(t, "MONITOR", c.Monitors, []Monitor{{System: "ups@h", PowerValue: 1, User: "user", Password: "pass", Primary: true, Line: 1}})
	}
}

func TestUPSD(t *testing.T) {
	same(t, "defaults", good(t, ParseUPSD, "# nothing\n"), UPSD{
		MaxAge: 15 * time.Second, TrackingDelay: time.Hour, DebugMin: -1,
	})
	same(t, "all", good(t, ParseUPSD, `
MAXAGE 20
MAXAGE 25
TRACKINGDELAY 60
ALLOW_NO_DEVICE On
ALLOW_NOT_ALL_LISTENERS 7
STATEPATH "/my run"
DATAPATH /data
LISTEN 127.0.0.1 # comment
LISTEN ::1 4000
LISTEN * nut
LISTEN host.example 0
LISTEN /run/nut/upsd.sock
MAXCONN 1024
MAXCONNPERHOST 64
COMPAT go.nut
CERTFILE c.pem
CERTPATH ca
CERTIDENT "/CN=x" "pass word"
CERTREQUEST REQUIRE
DISABLE_WEAK_SSL YES
debug_min 3
`), UPSD{
		MaxAge: 25 * time.Second, TrackingDelay: time.Minute, AllowNoDevice: true, AllowNotAllListeners: true,
		StatePath: "/my run", DataPath: "/data",
		Listen:  []Listen{{"127.0.0.1", "3493", 9}, {"::1", "4000", 10}, {"*", "nut", 11}, {"host.example", "0", 12}, {"/run/nut/upsd.sock", "3493", 13}},
		MaxConn: 1024, MaxConnPerHost: 64, CompatGoNUT: true,
		CertFile: "c.pem", CertPath: "ca", CertIdentName: "/CN=x", CertIdentPassword: "pass word",
		CertRequest: 2, DisableWeakSSL: true, DebugMin: 3,
	})
	for text, want := range map[string]int{"NO": 0, "REQUEST": 1, "REQUIRE": 2, "0": 0, "1": 1, "2": 2} {
		if got := good(t, ParseUPSD, "CERTREQUEST "+text+"\n").CertRequest; got != want {
			t.Errorf("CERTREQUEST %s = %d; want %d", text, got, want)
		}
	}
	for text, want := range map[string]bool{
		"true": true, "ON": true, "yes": true, "1": true, "2": true, "false": false, "off": false, "NO": false, "0": false, "00": false,
	} {
		c := lenient(t, ParseUPSD, "ALLOW_NO_DEVICE "+fmt.Sprint(!want)+"\nALLOW_NO_DEVICE "+text+"\n")
		if c.AllowNoDevice != want {
			t.Errorf("ALLOW_NO_DEVICE %s = %v; want %v", text, c.AllowNoDevice, want)
		}
	}
}

func TestUsers(t *testing.T) {
	same(t, "users", good(t, ParseUsers, `
[admin]
	password = "my=pass"
	actions = set fsd
	Actions = SET
	instcmds = ALL
	instcmds = test.battery.start test.battery.start beeper.off
[mon]
	PASSWORD  = p
	upsmon primary
[sec]
	password=p
	upsmon = slave
	peer = root nut root
"[my user]"
	"password=x y"
[Admin]
	password = other
"[a=b]"
	password = p
`), Users{
		{Name: "admin", Password: "my=pass", HasPass: true, Actions: []string{"SET", "FSD"},
			Instcmds: []string{"ALL", "test.battery.start", "beeper.off"}, Line: 2},
		{Name: "mon", Password: "p", HasPass: true, Actions: []string{"LOGIN", "PRIMARY", "MASTER", "FSD"}, Line: 8},
		{Name: "sec", Password: "p", HasPass: true, Actions: []string{"LOGIN"}, Peers: []string{"root", "nut"}, Line: 11},
		{Name: "my user", Password: "x y", HasPass: true, Line: 15},
		{Name: "Admin", Password: "other", HasPass: true, Line: 17},
		{Name: "a=b", Password: "p", HasPass: true, Line: 19},
	})
}

// TestUsersDoNotLeakRights guards against C's way with a section that comes twice
// or whose header is broken: its lines count for the user above.
func TestUsersDoNotLeakRights(t *testing.T) {
	us := lenient(t, ParseUsers, `
[admin]
password = a
actions = SET
[guest]
password = g
[admin]
actions = FSD
instcmds = ALL
[new user]
instcmds = ALL
user = x
actions = SET
`)
	same(t, "users", us, Users{
		{Name: "admin", Password: "a", HasPass: true, Actions: []string{"SET"}, Line: 2},
		{Name: "guest", Password: "g", HasPass: true, Line: 5},
	})
}

func TestUPSMon(t *testing.T) {
	c := good(t, ParseUPSMon, "")
	c.Rules = MonitorRules{} // these have a test of their own
	same(t, "defaults", c, UPSMon{
		MinSupplies: 1, PollFreq: 5 * time.Second, PollFreqAlert: 5 * time.Second, PollFailLogThrottle: -1,
		DeadTime: 15 * time.Second, HostSync: 15 * time.Second, FinalDelay: 5 * time.Second,
		NoCommWarnTime: 5 * time.Minute, RBWarnTime: 12 * time.Hour, OffDuration: 30 * time.Second,
		OverDuration: -time.Second, AlarmCritical: true, DebugMin: -1,
		NotifyMsg: map[string]string{}, NotifyFlag: map[string]NotifyFlag{},
	})
	c = good(t, ParseUPSMon, `
MONITOR apc@localhost 2 mon "pass word" primary
MONITOR other 0 mon p MASTER
MONITOR o@[::1]:4000 1 mon p slave
MINSUPPLIES 0
POLLFREQ 2
POLLFREQALERT 3
POLLFAIL_LOG_THROTTLE_MAX 4
DEADTIME 20
HOSTSYNC -1
FINALDELAY 0
NOCOMMWARNTIME 30
RBWARNTIME 31
OFFDURATION -1
OVERDURATION 32
OBLBDURATION -33
ALARMCRITICAL 0
SHUTDOWNCMD "/sbin/shutdown -h +0"
SHUTDOWNEXIT off
POWERDOWNFLAG "/etc/kill power"
NOTIFYCMD /bin/notify "--to=root" now
NOTIFYMSG onbatt "UPS %s on battery"
NOTIFYMSG ONBATT "UPS %s is on battery!"
NOTIFYFLAG onbatt SYSLOG+WALL
NOTIFYFLAG ONBATT SYSLOG+EXEC+SYSLOG
NOTIFYFLAG ONLINE IGNORE
RUN_AS_USER nut
CERTPATH ca
CERTFILE c.pem
CERTIDENT "my name" pw
CERTHOST h "its name" 1 -1
CERTHOST h:4000 other 0 1
CERTHOST [::1] v6 0 0
CERTVERIFY 1
FORCESSL 1
debug_min 2
`)
	c.Rules = MonitorRules{}
	same(t, "all", c, UPSMon{
		Monitors: []Monitor{
			{System: "apc@localhost", PowerValue: 2, User: "mon", Password: "pass word", Primary: true, Line: 2},
			{System: "other", User: "mon", Password: "p", Primary: true, Line: 3},
			{System: "o@[::1]:4000", PowerValue: 1, User: "mon", Password: "p", Line: 4},
		},
		PollFreq: 2 * time.Second, PollFreqAlert: 3 * time.Second, PollFailLogThrottle: 4,
		DeadTime: 20 * time.Second, HostSync: -time.Second, NoCommWarnTime: 30 * time.Second,
		RBWarnTime: 31 * time.Second, OffDuration: -time.Second, OverDuration: 32 * time.Second,
		ShutdownCmd: []string{"/sbin/shutdown -h +0"}, ShutdownExit: -time.Second, PowerDownFlag: "/etc/kill power",
		NotifyCmd:  []string{"/bin/notify", "--to=root", "now"},
		NotifyMsg:  map[string]string{"ONBATT": "UPS %s is on battery!"},
		NotifyFlag: map[string]NotifyFlag{"ONBATT": NotifySyslog | NotifyExec, "ONLINE": NotifyIgnore},
		RunAsUser:  "nut", CertPath: "ca", CertFile: "c.pem", CertIdentName: "my name", CertIdentPass: "pw",
		CertHosts: []CertHost{
			{Host: "h", Port: "3493", Name: "its name", Verify: 1, Force: -1, Line: 31},
			{Host: "h", Port: "4000", Name: "other", Verify: 0, Force: 1, Line: 32},
			{Host: "::1", Port: "3493", Name: "v6", Line: 33},
		},
		CertVerify: true, ForceSSL: true, DebugMin: 2,
	})
}

func TestUPSMonSwitches(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"on": 0, "Yes": 0, "TRUE": 0, "off": -time.Second, "No": -time.Second, "false": -time.Second,
		"0": 0, "5": 5 * time.Second, "-7": -7 * time.Second, "soon": 0, "99999999999": 0,
	} {
		if got := lenient(t, ParseUPSMon, "SHUTDOWNEXIT "+text+"\n").ShutdownExit; got != want {
			t.Errorf("SHUTDOWNEXIT %s = %v; want %v", text, got, want)
		}
	}
	for text, want := range map[string]bool{"1": true, "0": false, "2": false, "-1": false} {
		c := lenient(t, ParseUPSMon, strings.ReplaceAll("FORCESSL x\nCERTVERIFY x\nALARMCRITICAL x\n", "x", text))
		if c.ForceSSL != want || c.CertVerify != want || c.AlarmCritical != want {
			t.Errorf("FORCESSL, CERTVERIFY, ALARMCRITICAL %s = %v, %v, %v; want %v", text, c.ForceSSL, c.CertVerify, c.AlarmCritical, want)
		}
	}
	for text, want := range map[string]int{"-1": -1, "-5": -1, "2147483647": -1, "0": 0, "100": 100} {
		if got := lenient(t, ParseUPSMon, "POLLFAIL_LOG_THROTTLE_MAX "+text+"\n").PollFailLogThrottle; got != want {
			t.Errorf("POLLFAIL_LOG_THROTTLE_MAX %s = %d; want %d", text, got, want)
		}
	}
	if got := lenient(t, ParseUPSMon, "POLLFREQ 0\n").PollFreq; got != time.Second {
		t.Errorf("POLLFREQ 0 = %v; want 1s", got)
	}
	if got := lenient(t, ParseUPSMon, "NOTIFYFLAG FSD WALL\nNOTIFYFLAG FSD wall\n").NotifyFlag["FSD"]; got != 0 {
		t.Errorf("NOTIFYFLAG FSD wall = %v; want nothing, as C does", got)
	}
	c := lenient(t, ParseUPSMon, "MONITOR a 1 u p primary\nMONITOR a 5 v q secondary\nMONITOR a@localhost 0 u p x\n")
	same(t, "Monitors", c.Monitors, []Monitor{
		{System: "a", PowerValue: 1, User: "u", Password: "p", Primary: true, Line: 1},
		{System: "a@localhost", User: "u", Password: "p", Line: 3},
	})
}

func TestNUTConf(t *testing.T) {
	same(t, "silent", good(t, ParseNUTConf, "# MODE=netserver\n\n"), NUTConf{Mode: "none", Vars: map[string]string{}})
	got := good(t, ParseNUTConf, `# don't "mind"
MODE=netserver
UPSD_OPTIONS="-D  \"x\" \y"
UPSMON_OPTIONS='-D \x'
POWEROFF_WAIT=15\ m
SITE="two
lines"
JOINED=a\
b
MIXED=a"b c"'d e'
BLANK=\ 
EMPTY=
  NUT_DEBUG_LEVEL=1
LAST=x`)
	same(t, "Vars", got.Vars, map[string]string{
		"MODE": "netserver", "UPSD_OPTIONS": `-D  "x" \y`, "UPSMON_OPTIONS": `-D \x`, "POWEROFF_WAIT": "15 m",
		"SITE": "two\nlines", "JOINED": "ab", "MIXED": "ab cd e", "BLANK": " ", "EMPTY": "", "NUT_DEBUG_LEVEL": "1", "LAST": "x",
	})
	same(t, "Mode", got.Mode, "netserver")
	same(t, "Mode with CR LF", lenient(t, ParseNUTConf, "MODE=standalone\r\nUPSD_OPTIONS=-D\r\n").Mode, "standalone")
	same(t, "Mode of nonsense", lenient(t, ParseNUTConf, "MODE=Netserver\n").Mode, "none")
	same(t, "Mode twice", lenient(t, ParseNUTConf, "MODE=none\nMODE=manual\n").Mode, "manual")
}

func TestSecretsDoNotPrint(t *testing.T) {
	us := good(t, ParseUsers, "[a]\npassword = hush\n")
	m := good(t, ParseUPSMon, "MONITOR a 1 u hush primary\nCERTIDENT a hush\n")
	d := good(t, ParseUPSD, "CERTIDENT a hush\n")
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		text := fmt.Sprintf(strings.Repeat(format, 3), us, m, d)
		if strings.Contains(text, "hush") || strings.Contains(text, "68757368") {
			t.Errorf("a secret shows with %s: %s", format, text)
		}
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "nut.conf")
	_, _, err := ReadFile(path, ParseNUTConf)
	if want := path + ": no such file or directory; create the file, or set NUT_CONFPATH to the folder that has it"; !errors.Is(err, fs.ErrNotExist) || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("ReadFile of a missing file gives %v; want …%s", err, want)
	}
	if err := os.WriteFile(path, []byte("MODE=manual\nx\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, problems, err := ReadFile(path, ParseNUTConf)
	if err != nil || c.Mode != "manual" || len(problems) != 1 || problems[0].File != path || problems[0].Line != 2 {
		t.Errorf("ReadFile = %+v, %v, %v; want manual and a problem on line 2 of %s", c, problems, err, path)
	}
	if _, _, err := ReadFile(dir, ParseNUTConf); err == nil || !strings.Contains(err.Error(), "is a folder") {
		t.Errorf("ReadFile of a folder gives %v; want an error that says so", err)
	}
	got := explain(&fs.PathError{Op: "open", Path: "f", Err: fs.ErrPermission}).Error()
	want := fmt.Sprintf("open f: permission denied; the file and its folder must be readable for user id %d, which this program runs as", os.Geteuid())
	if got != want {
		t.Errorf("explain(permission) = %q; want %q", got, want)
	}
	if err := explain(errDisk); err != errDisk {
		t.Errorf("explain(%v) = %v; want it as it is", errDisk, err)
	}
}

func TestFindPaths(t *testing.T) {
	env := func(pairs ...string) func(string) string {
		return func(name string) string {
			for i := 0; i < len(pairs); i += 2 {
				if pairs[i] == name {
					return pairs[i+1]
				}
			}
			return ""
		}
	}
	for _, c := range []struct {
		env  func(string) string
		want Paths
	}{
		{env(), Paths{Conf: "/etc/nut", State: "/run/nut", PID: "/run", AltPID: "/run/nut"}},
		{env("NUT_CONFPATH", ""), Paths{Conf: "/etc/nut", State: "/run/nut", PID: "/run", AltPID: "/run/nut"}},
		{env("NUT_CONFPATH", "/c", "NUT_STATEPATH", "/s", "NUT_PIDPATH", "/p"),
			Paths{Conf: "/c", State: "/s", PID: "/p", AltPID: "/s", StateByEnv: true}},
		{env("NUT_STATEPATH", "/s", "NUT_ALTPIDPATH", "/a"),
			Paths{Conf: "/etc/nut", State: "/s", PID: "/run", AltPID: "/a", StateByEnv: true}},
	} {
		got := FindPaths(c.env)
		same(t, "FindPaths", []any{got.Conf, got.State, got.PID, got.AltPID, got.StateByEnv},
			[]any{c.want.Conf, c.want.State, c.want.PID, c.want.AltPID, c.want.StateByEnv})
	}
	same(t, "File", Paths{Conf: "/c"}.File("ups.conf"), filepath.Join("/c", "ups.conf"))
}
