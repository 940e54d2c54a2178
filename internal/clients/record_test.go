package clients

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gonut/upsclient"
)

// say makes the server list these variables.
func (f *fakeServer) say(vars ...string) {
	var b strings.Builder
	b.WriteString("BEGIN LIST VAR ups\n")
	for _, v := range vars {
		name, value, _ := strings.Cut(v, "=")
		fmt.Fprintf(&b, "VAR ups %s \"%s\"\n", name, strings.ReplaceAll(value, "#", `\#`))
	}
	b.WriteString("END LIST VAR ups")
	f.set("LIST VAR ups", b.String())
}

func (f *fakeServer) set(request, reply string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[request] = reply
}

// outage is a server whose ups goes on battery and back.
func outage() *fakeServer {
	f := &fakeServer{answers: defaultAnswers()}
	f.set("LIST CMD ups", "BEGIN LIST CMD ups\nCMD ups driver.reload\nCMD ups load.off\nEND LIST CMD ups")
	f.set("LIST RW ups", "BEGIN LIST RW ups\nRW ups driver.debug \"0\"\nRW ups ups.id \"a\"\nRW ups a.b \"1\"\nEND LIST RW ups")
	f.set("GET TYPE ups ups.id", "TYPE ups ups.id RW STRING:8")
	f.set("GET TYPE ups a.b", "TYPE ups a.b RW ENUM RANGE NUMBER")
	f.set("LIST ENUM ups a.b", "BEGIN LIST ENUM ups a.b\nENUM ups a.b \"one two\"\nENUM ups a.b \"3\"\nEND LIST ENUM ups a.b")
	f.set("LIST RANGE ups a.b", "BEGIN LIST RANGE ups a.b\nRANGE ups a.b \"1\" \"9\"\nEND LIST RANGE ups a.b")
	f.say("battery.charge=100", "device.serial=AB12", "ups.status=OL", "ups.id=x # y")
	at := func(d time.Duration, do func()) { time.AfterFunc(d, do) }
	at(11*time.Second, func() {
		f.say("battery.charge=90", "device.serial=AB12", "ups.status=OB", "ups.id=x # y", "ups.alarm= a b")
	})
	at(21*time.Second, func() { f.set("LIST VAR ups", "ERR DATA-STALE") })
	at(31*time.Second, func() { f.set("LIST VAR ups", "(close)") })
	at(41*time.Second, func() { f.say("battery.charge=95", "device.serial=AB12", "ups.status=OL", "ups.id=x # y") })
	return f
}

const outageSequence = `# ups@localhost, recorded 2000-01-01T00:00:00Z every 5s
battery.charge: 100
device.serial: 0000
ups.status: OL
ups.id: "x \# y"
#RW:ups.id:STRING:8
#RW:a.b:ENUM:"one two"
#RW:a.b:ENUM:3
#RW:a.b:RANGE:"1" "9"
#CMD:load.off
TIMER 15
battery.charge: 90
ups.status: OB
ups.alarm: " a b"
# after 25 s: Data stale
# after 35 s: Server disconnected
# after 45 s: there again
TIMER 30
battery.charge: 95
ups.status: OL
ups.alarm:
TIMER 15
`

func TestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runProgram(t, Record(), outage(), nil, "", "-t", "60", "-o", "-", "ups")
		if r.code != 0 || r.stdout != outageSequence {
			t.Errorf("record = %d, %s\n%s\nwant\n%s", r.code, r.stderr, r.stdout, outageSequence)
		}
	})
	// As C's nut-recorder is called.
	dir := t.TempDir()
	file := filepath.Join(dir, "x.seq")
	if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		r := runProgram(t, Record(), outage(), nil, "", "-s", "-t", "14", "ups", file, "10")
		if r.code != 0 || r.stdout != "" {
			t.Errorf("record to a file = %+v", r)
		}
	})
	for name, want := range map[string]string{
		file: strings.NewReplacer("every 5s", "every 10s", "0000", "AB12", "TIMER 15\nbattery.charge: 90", "TIMER 14\n|").Replace(outageSequence), file + ".1": "old",
	} {
		got, err := os.ReadFile(name)
		want, _, _ = strings.Cut(want, "|")
		if err != nil || string(got) != want {
			t.Errorf("%s = %s, %v; want %s", name, got, err, want)
		}
	}
}

// What was seen first is most of a recording, and nothing may change for hours.
func TestRecordEndsWhenTheDiskIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		r := &recorder{w: bufio.NewWriter(fullDisk{}), interval: time.Hour, begin: time.Now(), known: make(map[string]string)}
		r.write([]upsclient.Variable{{Name: "ups.status", Value: "OL"}})
		if err := r.follow(ctx); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("follow = %v; want %v at once", err, syscall.ENOSPC)
		}
	})
}

func TestRecordErrors(t *testing.T) {
	for _, tt := range []struct {
		args string
		want string
	}{
		{"", "which ups?"},
		{"-Z ups", "Z"},
		{"ups f 5 more", `what is "more"?`},
		{"-i 0 ups", `the interval "0" is no number of seconds`},
		{"ups f soon", `the interval "soon" is no number of seconds`},
		{"-t x ups", `the time limit "x"`},
		{"@", "Error: invalid UPS definition"},
		{"stale", "Error: Data stale"},
		{"ups@refused", "Error: Connection failure"},
		{"-o /nonexistent/x ups", "record: open /nonexistent/x"},
	} {
		f := outage()
		r := runProgram(t, Record(), f, nil, "", strings.Fields(tt.args)...)
		if r.code != 1 || !strings.Contains(r.stderr, tt.want) {
			t.Errorf("record %s = %d, %s; want 1, %s", tt.args, r.code, r.stderr, tt.want)
		}
	}
}
