package clients

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/program"
)

func TestUPSC(t *testing.T) {
	tests := []struct {
		args string // separated by blanks
		want run
	}{
		{"-l", run{"ups\ntwo\n", "", 0}},
		{"-L", run{"ups: the \"first\"\ntwo: \n", "", 0}},
		{"-j -l host:99", run{"[\n  \"ups\",\n  \"two\"\n]\n", "", 0}},
		{"-jL", run{"{\n  \"ups\": \"the \\\"first\\\"\",\n  \"two\": \"\"\n}\n", "", 0}},
		{"ups", run{"a.b: x \"y\"\nups.status: OL\n", "", 0}},
		{"-j ups", run{"{\n  \"a.b\": \"x \\\"y\\\"\",\n  \"ups.status\": \"OL\"\n}\n", "", 0}},
		{"empty", run{"", "", 0}},
		{"ups a.b", run{"value\n", "", 0}},
		{"-j ups a.b surplus", run{"\"value\"\n", "", 0}},
		{"-c ups", run{"10.0.0.1\n::1\n", "", 0}},
		{"-c two", run{"", "", 0}},
		{"-j -c ups a.b", run{"[\n  \"10.0.0.1\",\n  \"::1\"\n]\n", "", 0}},
		{"-j -c two", run{"[\n\n]\n", "", 0}},
		{"-l -c", run{"ups\ntwo\n", "", 0}},
		{"stale", run{"", "Error: Data stale\n", 1}},
		{"-j stale", run{"{\n  \"error\": \"Data stale\"\n}\n", "Error: Data stale\n", 1}},
		{"-j -c none", run{"{\"error\": \"upsd is too old to support this query\"}\n", "Error: upsd is too old to support this query\n", 1}},
		{"broken", run{"", "Error: Protocol error\n", 1}},
		{"ups nodot", run{"", "Error: old-style variable names are not supported\n", 1}},
		{"-j ups nodot", run{"{\"error\": \"old-style variable names are not supported\"}\n", "Error: old-style variable names are not supported\n", 1}},
		{"ups@refused", run{"", "Error: Connection failure: Connection refused\n", 1}},
		{"-j ups@refused", run{"{\"error\": \"Connection failure: Connection refused\"}\n", "Error: Connection failure: Connection refused\n", 1}},
		{"-l nohost", run{"", "Error: No such host\n", 1}},
		{"", run{"", "Error: invalid UPS definition.\nRequired format: upsname[@hostname[:port]]\n", 1}},
		{"-l @", run{"", "upsc: read address \"@\": the host must not contain '@', '[' or ']'\nError: invalid hostname.\nRequired format: [hostname[:port]]\n", 1}},
		{"-V", run{"Network UPS Tools upsc " + program.Version() + "\n", "", 0}},
	}
	for _, tt := range tests {
		f := &fakeServer{answers: defaultAnswers()}
		if got := runProgram(t, UPSC(), f, nil, "", strings.Fields(tt.args)...); got != tt.want {
			t.Errorf("upsc %s = %+v; want %+v", tt.args, got, tt.want)
		}
	}
}

// C's clients end with success after an option that they do not know; upslog does
// not.
func TestUnknownOption(t *testing.T) {
	for _, p := range []program.Program{UPSC(), UPSCmd(), UPSRW()} {
		got := runProgram(t, p, &fakeServer{}, nil, "", "-%")
		if got.code != 0 || !strings.Contains(got.stderr, "invalid option -- '%'") || !strings.Contains(got.stdout, "usage: "+p.Name) {
			t.Errorf("%s -%% = %+v; want help and exit code 0", p.Name, got)
		}
	}
	if got := runProgram(t, UPSLog(), &fakeServer{}, nil, "", "-%"); got.code != 1 || got.stdout != "" {
		t.Errorf("upslog -%% = %+v; want exit code 1", got)
	}
}

const okNote = "OK\nupsd has passed the request on; whether the device obeys is not known. Option -w\n" +
	"waits for what its driver says. (NUT_QUIET_OK_NOTRACKING=true hides this note.)\n"

func TestUPSCmd(t *testing.T) {
	tests := []struct {
		args, stdin string
		requests    []string // that the server saw; nil: not of interest
		want        run
	}{
		{"-l ups", "", nil, run{"Instant commands supported on UPS [ups]:\n\nload.off - Turn off\nx.y\n", "", 0}},
		{"-l none", "", nil, run{"", "Error: upsd is too old to support this query\n", 1}},
		{"-u admin -p secret ups load.off", "", []string{"USERNAME admin", "PASSWORD secret", "INSTCMD ups load.off"}, run{"", okNote, 0}},
		{"-u admin -p secret ups load.off 5 6", "", []string{"USERNAME admin", "PASSWORD secret", "INSTCMD ups load.off 5"}, run{"", okNote, 0}},
		{"-u admin ups load.off", "secret\n", nil, run{"", "Password: " + okNote, 0}},
		{"ups load.off", "admin\nsecret\n", nil, run{"Username (USER): ", "Password: " + okNote, 0}},
		{"ups load.off", "", []string{}, run{"Username (USER): ", "Error: error reading from stdin\n", 1}},
		{"-u admin -p secret ups no.right", "", nil, run{"", "Unexpected response from upsd: ERR ACCESS-DENIED\n", 1}},
		{"-u admin -p secret ups what.now", "", nil, run{"", "Unexpected response from upsd: MAYBE\n", 1}},
		{"-u admin -p secret ups gone.away", "", nil, run{"", "Error: Server disconnected\n", 1}},
		{"-u nobody -p secret ups load.off", "", nil, run{"", "Set username failed: Unknown command\n", 1}},
		{"ups nodot", "", []string{}, run{"", "Error: old command names are not supported\n", 1}},
		{"ups@refused load.off", "", nil, run{"", "Error: Connection failure: Connection refused\n", 1}},
		{"-w -u admin -p secret ups test.ok", "", nil, run{"", "SUCCESS\n", 0}},
		{"-w -u admin -p secret ups test.bad", "", nil, run{"", "ERR FAILED\n", 0}},
		{"-w -u admin -p secret ups load.off", "", nil, run{"", okNote, 0}},
		{"-w -t 3 -u admin -p secret ups test.slow", "", nil, run{"", "Error: the driver has not said within 3s what became of the request\n", 1}},
		{"-t 3x ups load.off", "", nil, run{"", "Could not convert the provided value for timeout ('-t' option) to unsigned int: \"3x\" is no number\n", 1}},
		{"-t -3 ups load.off", "", nil, run{"", "Could not convert the provided value for timeout ('-t' option) to unsigned int: \"-3\" is no number\n", 1}},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeServer{answers: defaultAnswers()}
			for request, reply := range map[string]string{
				"INSTCMD ups load.off": "OK", "INSTCMD ups load.off 5": "OK",
				"INSTCMD ups no.right": "ERR ACCESS-DENIED", "INSTCMD ups what.now": "MAYBE", "INSTCMD ups gone.away": "(close)",
				"INSTCMD ups test.ok": "OK TRACKING id1", "GET TRACKING id1": "SUCCESS",
				"INSTCMD ups test.bad": "OK TRACKING id2", "GET TRACKING id2": "ERR FAILED",
				"INSTCMD ups test.slow": "OK TRACKING id3", "GET TRACKING id3": "PENDING",
			} {
				f.answers[request] = reply
			}
			start := time.Now()
			got := runProgram(t, UPSCmd(), f, nil, tt.stdin, strings.Fields(tt.args)...)
			got.stdout = anyUser(got.stdout)
			if got != tt.want {
				t.Errorf("upscmd %s = %+v; want %+v", tt.args, got, tt.want)
			}
			if rs := f.requests(); tt.requests != nil && !slices.Equal(rs, tt.requests) {
				t.Errorf("upscmd %s sent %q; want %q", tt.args, rs, tt.requests)
			}
			if d := time.Since(start); strings.Contains(tt.args, "test.slow") && d != 3*time.Second {
				t.Errorf("upscmd %s took %v; want 3s", tt.args, d)
			}
		})
	}
}

// anyUser replaces the name of the user who runs the tests.
func anyUser(s string) string {
	if rest, ok := strings.CutPrefix(s, "Username ("); ok {
		if _, rest, ok := strings.Cut(rest, ")"); ok {
			return "Username (USER)" + rest
		}
	}
	return s
}

// Words that need quotes get them; just Enter means the name that was proposed.
func TestOrdersAreQuoted(t *testing.T) {
	f := &fakeServer{answers: defaultAnswers()}
	env := map[string]string{"NUT_QUIET_OK_NOTRACKING": "true"}
	for request := range map[string]bool{
		`USERNAME "a b"`: true, `PASSWORD "x=\"y\" \#"`: true, `INSTCMD "my ups" load.off "1 2"`: true, `SET VAR ups a.b "c=d e"`: true,
	} {
		f.answers[request] = "OK"
	}
	if got := runProgram(t, UPSCmd(), f, env, "", "-u", "a b", "-p", `x="y" #`, "my ups", "load.off", "1 2"); got != (run{"", "OK\n", 0}) {
		t.Errorf("upscmd = %+v; want OK", got)
	}
	if got := runProgram(t, UPSRW(), f, env, "", "-u", "a b", "-p", `x="y" #`, "-s", "a.b=c=d e", "ups"); got != (run{"", "OK\n", 0}) {
		t.Errorf("upsrw = %+v; want OK", got)
	}
	f = &fakeServer{answers: defaultAnswers()}
	runProgram(t, UPSCmd(), f, env, "\nsecret\n", "ups", "load.off")
	if rs := f.requests(); len(rs) == 0 || rs[0] == "USERNAME" || rs[0] == `USERNAME ""` {
		t.Errorf("after just Enter upscmd sent %q; want the proposed name", rs)
	}
}

func TestUPSRWList(t *testing.T) {
	f := &fakeServer{answers: map[string]string{
		"STARTTLS": "ERR FEATURE-NOT-SUPPORTED", "LOGOUT": "OK Goodbye",
		"LIST RW ups": "BEGIN LIST RW ups\nRW ups v.str \"hello\"\nRW ups v.num \"7\"\nRW ups v.range \"5.9\"\nRW ups v.enum \"two\"\n" +
			"RW ups v.enumnum \"1\"\nRW ups v.enumonly \"1\"\nRW ups v.odd \"1\"\nRW ups v.none \"1\"\nEND LIST RW ups",
		"GET DESC ups v.str":       `DESC ups v.str "A string"`,
		"GET DESC ups v.num":       "ERR DATA-STALE",
		"GET TYPE ups v.str":       "TYPE ups v.str RW STRING:8",
		"GET TYPE ups v.num":       "TYPE ups v.num RW NUMBER",
		"GET TYPE ups v.range":     "TYPE ups v.range RW RANGE NUMBER",
		"LIST RANGE ups v.range":   "BEGIN LIST RANGE ups v.range\nRANGE ups v.range \"1\" \"5\"\nRANGE ups v.range \"6\" \"9\"\nEND LIST RANGE ups v.range",
		"GET TYPE ups v.enum":      "TYPE ups v.enum RW ENUM STRING:10",
		"LIST ENUM ups v.enum":     "BEGIN LIST ENUM ups v.enum\nENUM ups v.enum \"one\"\nENUM ups v.enum \"two\"\nEND LIST ENUM ups v.enum",
		"GET TYPE ups v.enumnum":   "TYPE ups v.enumnum RW ENUM NUMBER",
		"LIST ENUM ups v.enumnum":  "BEGIN LIST ENUM ups v.enumnum\nENUM ups v.enumnum \"1\"\nEND LIST ENUM ups v.enumnum",
		"GET TYPE ups v.enumonly":  "TYPE ups v.enumonly RW ENUM",
		"LIST ENUM ups v.enumonly": "BEGIN LIST ENUM ups v.enumonly\nEND LIST ENUM ups v.enumonly",
		"GET TYPE ups v.odd":       "TYPE ups v.odd RW NEW",
	}}
	want := `[v.str]
A string
Type: STRING
Maximum length: 8
Value: hello

[v.num]
Description unavailable
Type: NUMBER
Value: 7

[v.range]
Description unavailable
Type: RANGE NUMBER
Option: "1-5" SELECTED
Option: "6-9"

[v.enum]
Description unavailable
Type: ENUM STRING
Maximum length: 10
Option: "one"
Option: "two" SELECTED

[v.enumnum]
Description unavailable
Type: ENUM NUMBER
Option: "1" SELECTED

[v.enumonly]
Description unavailable
Type: ENUM

[v.odd]
Description unavailable
Type: NEW (unrecognized)

[v.none]
Description unavailable
Unknown type

`
	if got := runProgram(t, UPSRW(), f, nil, "", "ups"); got != (run{want, "", 0}) {
		t.Errorf("upsrw ups = %+v; want %s", got, want)
	}
}

func TestUPSRWSet(t *testing.T) {
	tests := []struct {
		args, stdin string
		want        run
	}{
		{"-u admin -p secret -s a.b=1 ups", "", run{"", okNote, 0}},
		{"-u admin -p secret -s a.b ups", "1\n", run{"Enter new value for a.b: ", okNote, 0}},
		{"-u admin -p secret -s a.b ups", "", run{"Enter new value for a.b: ", "Error: error reading from stdin\n", 1}},
		{"-u admin -p secret -s a.b= ups", "", run{"", "Unexpected response from upsd: ERR INVALID-VALUE\n", 1}},
		{"-u admin -p secret -s nodot=1 ups", "", run{"", "Error: old variable names are not supported\n", 1}},
		{"-w -u admin -p secret -s a.b=2 ups", "", run{"", "SUCCESS\n", 0}},
		{"-s a.b=1 -l none", "", run{"", "Listing mode requested, overriding setvar specified earlier!\nError: upsd is too old to support this query\n", 1}},
		{"-l -s a.b=1 -u admin -p secret ups", "", run{"", okNote, 0}},
	}
	for _, tt := range tests {
		f := &fakeServer{answers: defaultAnswers()}
		f.answers["SET VAR ups a.b 1"] = "OK"
		f.answers[`SET VAR ups a.b ""`] = "ERR INVALID-VALUE"
		f.answers["SET VAR ups a.b 2"] = "OK TRACKING id1"
		f.answers["GET TRACKING id1"] = "SUCCESS"
		if got := runProgram(t, UPSRW(), f, nil, tt.stdin, strings.Fields(tt.args)...); got != tt.want {
			t.Errorf("upsrw %s = %+v; want %+v", tt.args, got, tt.want)
		}
	}
	// A script whose variable is empty must not be told that all went well.
	f := &fakeServer{answers: defaultAnswers()}
	want := run{"", "Error: old variable names are not supported\n", 1}
	if got := runProgram(t, UPSRW(), f, nil, "", "-u", "admin", "-p", "secret", "-s", "", "ups"); got != want {
		t.Errorf("upsrw -s \"\" = %+v; want %+v", got, want)
	}
}

func TestConnectTimeoutSources(t *testing.T) {
	tests := []struct {
		args     []string
		env      string
		want     time.Duration
		complain bool
	}{
		{nil, "", 0, false},
		{[]string{"-W", "2.5"}, "7", 2500 * time.Millisecond, false},
		{nil, "7", 7 * time.Second, false},
		{[]string{"-W", "0"}, "7", -1, false},
		{[]string{"-W", "-1"}, "7", 7 * time.Second, true},
		{[]string{"-W", "soon"}, "never", 0, true},
		{[]string{"-W", "NaN"}, "", 0, true},
		{[]string{"-W", "1e-12"}, "", 1, false},
	}
	for _, tt := range tests {
		var stderr strings.Builder
		c := newCall(program.Env{
			Args: append([]string{"upsc"}, tt.args...), Stderr: &stderr,
			Getenv: func(name string) string {
				if name == "NUT_DEFAULT_CONNECT_TIMEOUT" {
					return tt.env
				}
				return ""
			},
		}, "upsc", "")
		if _, _, err := c.options("", nil); err != nil {
			t.Fatal(err)
		}
		if got := c.connectTimeout(); got != tt.want || (stderr.Len() > 0) != tt.complain {
			t.Errorf("connectTimeout(%q, environment %q) = %v, said %q; want %v, a complaint: %v", tt.args, tt.env, got, stderr.String(), tt.want, tt.complain)
		}
	}
}

func TestNUTAuth(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := write("nutauth.conf", "[host:99]\nUSER = admin\nPASS = secret\n[tls]\nFORCESSL = 1\n[clear]\nFORCESSL = 0\n[verify]\nCERTVERIFY = 1\n")
	broken := write("broken.conf", "[a@]\n")
	odd := write("odd.conf", "WHAT = 1\n")
	tests := []struct {
		name string
		env  map[string]string
		args []string
		want run
	}{
		{"found in the configuration folder", map[string]string{"NUT_CONFPATH": dir}, []string{"ups@host:99", "load.off"}, run{"", "OK\n", 0}},
		{"named", nil, []string{"-A", good, "ups@host:99", "load.off"}, run{"", "OK\n", 0}},
		{"half of it given", nil, []string{"-A", good, "-u", "admin", "ups@host:99", "load.off"}, run{"", "Password: Error: error reading from stdin\n", 1}},
		{"other server", nil, []string{"-A", good, "-u", "admin", "ups@host:98", "load.off"}, run{"", "Password: Error: error reading from stdin\n", 1}},
		{"not wanted", map[string]string{"NUT_CONFPATH": dir}, []string{"-A", "none", "-u", "admin", "ups@host:99", "load.off"}, run{"", "Password: Error: error reading from stdin\n", 1}},
		{"insisted on", nil, []string{"-A", "default", "ups", "load.off"}, run{"", "Error: no nutauth.conf was found; -A default insists on one\n", 1}},
		{"none, silently", nil, []string{"-l", "ups"}, run{"Instant commands supported on UPS [ups]:\n\nload.off - Turn off\nx.y\n", "", 0}},
		{"broken", map[string]string{"NUT_AUTHCONF_FILE": broken}, []string{"-l", "ups"},
			run{"", "Error: " + broken + ":1: [a@] is no header; write [user@host:port], [@host:port], [host:port] or [host], IPv6 addresses in brackets\n", 1}},
		{"odd", map[string]string{"NUT_AUTHCONF_FILE": odd}, []string{"-l", "ups@refused"},
			run{"", "upscmd: " + odd + ":1: unknown key WHAT; the line is ignored\nError: Connection failure: Connection refused\n", 1}},
		{"TLS demanded", nil, []string{"-A", good, "-l", "ups@tls"}, run{"", "Error: SSL is not available\n", 1}},
		{"verification without authorities", nil, []string{"-A", good, "-l", "ups@verify"},
			run{"", "Error: prepare TLS: verify servers: CERTVERIFY needs CERTPATH, the certificates of those who may vouch for them\n", 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &fakeServer{answers: defaultAnswers()}
			f.answers["INSTCMD ups load.off"] = "OK"
			env := map[string]string{"NUT_QUIET_OK_NOTRACKING": "true"}
			for k, v := range tt.env {
				env[k] = v
			}
			if got := runProgram(t, UPSCmd(), f, env, "", tt.args...); got != tt.want {
				t.Errorf("upscmd %q = %+v; want %+v", tt.args, got, tt.want)
			}
		})
	}
	f := &fakeServer{answers: defaultAnswers()}
	runProgram(t, UPSC(), f, nil, "", "-A", good, "-l", "clear")
	if slices.Contains(f.seen, "STARTTLS") {
		t.Errorf("FORCESSL = 0: the client sent %q; want no STARTTLS", f.seen)
	}
}

// A silent server costs five seconds, not more.
func TestSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeServer{answers: defaultAnswers()}
		f.answers["GET VAR ups a.b"] = "(silence)"
		start := time.Now()
		got := runProgram(t, UPSC(), f, nil, "", "ups", "a.b")
		if got != (run{"", "Error: Server disconnected\n", 1}) || time.Since(start) != 5*time.Second {
			t.Errorf("upsc = %+v after %v; want Server disconnected after 5s", got, time.Since(start))
		}
	})
}

// A fullDisk takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestOutputThatGoesNowhere(t *testing.T) {
	for _, p := range []program.Program{UPSC(), UPSRW(), UPSLog()} {
		f := &fakeServer{answers: defaultAnswers()}
		f.answers["LIST RW ups"] = "BEGIN LIST RW ups\nRW ups a.b \"1\"\nEND LIST RW ups"
		args := []string{p.Name, "ups"}
		if p.Name == "upslog" {
			args = []string{p.Name, "-F", "-d", "1", "-u", strconv.Itoa(os.Getuid()), "-p", filepath.Join(t.TempDir(), "pid"), "-s", "ups", "-l", "-"}
		}
		var stderr strings.Builder
		err := p.Run(t.Context(), program.Env{
			Args: args, Stdout: fullDisk{}, Stderr: &stderr, Dial: f.dial,
			Getenv: func(string) string { return "" },
		})
		if code := program.Code(err, &stderr); code != 1 || !strings.Contains(stderr.String(), "write output: no space left") {
			t.Errorf("%s to a full disk ends with %d, %q; want 1 and the reason", p.Name, code, stderr.String())
		}
	}
}
