package upsd

import (
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const status = "GET VAR fake ups.status"

func TestSilentDriverBecomesStale(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		time.Sleep(30 * time.Second) // it answers each PING
		c.want(status, `VAR fake ups.status "OL"`)
		w.driver.set(func() {
			if w.driver.pings < 4 || w.driver.pings > 7 {
				t.Errorf("%d pings in 30 s; want about one in MAXAGE/3", w.driver.pings)
			}
			w.driver.mute = true
		})
		time.Sleep(10 * time.Second) // at most 15 s after its last word
		c.want(status, `VAR fake ups.status "OL"`)
		time.Sleep(7 * time.Second)
		c.want(status, "ERR DATA-STALE")
		c.want("LIST VAR fake", "ERR DATA-STALE")
		c.want("GET UPSDESC fake", `UPSDESC fake "Unavailable"`)
		c.want("LIST CLIENT fake", "BEGIN LIST CLIENT fake\nEND LIST CLIENT fake")
		a := w.as("admin", "secret")
		a.want("SET VAR fake ups.rw.str x", "ERR DATA-STALE")
		a.want("INSTCMD fake load.off", "ERR DATA-STALE")
		w.driver.say("NONSENSE from a newer driver\nSETFLAGS ups.ro.num\n")
		synctest.Wait()
		c.want(status, "ERR DATA-STALE")
		w.driver.say("PONG\n")
		synctest.Wait()
		c.want(status, `VAR fake ups.status "OL"`)
	})
}

func TestDriverSaysStale(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		w.driver.say("DATASTALE\n")
		synctest.Wait()
		c.want(status, "ERR DATA-STALE")
		c.want("GET NUMLOGINS fake", "ERR DATA-STALE")
		a := w.as("admin", "secret")
		a.want("FSD fake", "OK FSD-SET")
		w.driver.say("DATAOK\n")
		synctest.Wait()
		c.want(status, `VAR fake ups.status "FSD OL"`)
	})
}

func TestBeforeTheDump(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.driver.set(func() { w.driver.dump = ""; w.driver.conn.Close() })
		c := w.dial()
		synctest.Wait()
		c.want(status, "ERR DRIVER-NOT-CONNECTED")
		time.Sleep(3 * time.Second)
		c.want(status, `VAR fake ups.status "WAIT"`)
		a := w.as("admin", "secret")
		a.want("SET VAR fake ups.rw.str x", "ERR VAR-NOT-SUPPORTED")
		// What came so far is served, whatever the driver says of it.
		w.driver.say("DATASTALE\nSETINFO ups.load 5\n")
		synctest.Wait()
		c.want("LIST VAR fake", "BEGIN LIST VAR fake\nVAR fake ups.load \"5\"\nVAR fake ups.status \"WAIT\"\nEND LIST VAR fake")
		w.driver.say("DUMPDONE\n")
		synctest.Wait()
		c.want(status, "ERR DATA-STALE")
	})
}

func TestDriverLeavesAndReturns(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.as("mon", `"mon pw"`)
		c.want("LOGIN fake", "OK")
		c.want("FSD fake", "OK FSD-SET")
		w.driver.set(func() { w.driver.conn.Close() })
		synctest.Wait()
		c.want(status, "ERR DRIVER-NOT-CONNECTED")
		c.want("LIST CLIENT fake", "BEGIN LIST CLIENT fake\nCLIENT fake 127.0.0.1:3493\nEND LIST CLIENT fake")
		c.want("PRIMARY fake", "OK PRIMARY-GRANTED")
		time.Sleep(3 * time.Second)
		c.want(status, `VAR fake ups.status "FSD OL"`)
		c.want("GET NUMLOGINS fake", "NUMLOGINS fake 1")
	})
}

func TestLiveChanges(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.dial()
		for _, step := range []struct{ say, ask, want string }{
			{"SETINFO ups.ro.num 4", "GET VAR fake ups.ro.num", `VAR fake ups.ro.num "4"`},
			{"SETINFO ups.status ol", status, `VAR fake ups.status "OL"`}, // only the case changed
			{"DELINFO ups.ro.num", "GET VAR fake ups.ro.num", "ERR VAR-NOT-SUPPORTED"},
			{"DELENUM ups.rw.enum TWO", "LIST ENUM fake ups.rw.enum", "BEGIN LIST ENUM fake ups.rw.enum\n" +
				"ENUM fake ups.rw.enum \"one\"\nENUM fake ups.rw.enum \"th\\#ree\"\nEND LIST ENUM fake ups.rw.enum"},
			{"DELRANGE ups.rw.range 20 0", "LIST RANGE fake ups.rw.range", "BEGIN LIST RANGE fake ups.rw.range\n" +
				"RANGE fake ups.rw.range \"1\" \"10\"\nEND LIST RANGE fake ups.rw.range"},
			{"SETAUX ups.rw.str 80", "GET TYPE fake ups.rw.str", "TYPE fake ups.rw.str RW STRING:80"},
			{"setflags ups.rw.str NUMBER", "GET TYPE fake ups.rw.str", "TYPE fake ups.rw.str NUMBER"},
			{"ADDCMD shutdown.stop\nDELCMD LOAD.OFF", "LIST CMD fake", "BEGIN LIST CMD fake\nCMD fake Beeper.mute\n" +
				"CMD fake shutdown.stop\nCMD fake test.panel.start\nEND LIST CMD fake"},
			{"SETINFO ups.long " + strings.Repeat("x", 300), "GET VAR fake ups.long", `VAR fake ups.long "` + strings.Repeat("x", 255) + `"`},
			// A line that is broken costs itself and nothing more.
			{"SETINFO ups.a \"x # y\" z\nSETINFO ups.b good", "GET VAR fake ups.b", `VAR fake ups.b "good"`},
			{"SETINFO ups.c \"two\nlines\"\nSETINFO ups.d good", "GET VAR fake ups.d", `VAR fake ups.d "good"`},
		} {
			w.driver.say("%s\n", step.say)
			synctest.Wait()
			c.want(step.ask, step.want)
		}
	})
}

// A driver that hangs up as soon as it is connected is tried ever more slowly, and
// is no reason to write line after line.
func TestDriverThatHangsUp(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.driver.set(func() { w.driver.refuse = true; w.driver.conn.Close() })
		before := len(w.log.text())
		time.Sleep(10 * time.Minute)
		text := w.log.text()[before:]
		if n := strings.Count(text, "ups=fake"); n < 2 || n > 5 {
			t.Errorf("%d lines about it in 10 minutes; want one at first and one in 5 minutes:\n%s", n, text)
		}
		if !strings.Contains(text, "hangs up") {
			t.Errorf("the log does not say what is wrong:\n%s", text)
		}
		w.driver.set(func() { w.driver.refuse = false })
		before = len(w.log.text())
		time.Sleep(20 * time.Second)
		w.dial().want(status, `VAR fake ups.status "OL"`)
		if text := w.log.text()[before:]; strings.Count(text, "connected to the driver") != 1 {
			t.Errorf("after it works again the log has %q; want that it is connected", text)
		}
	})
}

// The log says what to do about a driver that cannot be reached.
func TestNoDriver(t *testing.T) {
	for err, want := range map[error]string{
		syscall.ECONNREFUSED: "running", syscall.EACCES: "user or group", errBrief: "stay connected",
	} {
		if got := noDriver(&net.OpError{Op: "dial", Err: err}); !strings.Contains(got, want) {
			t.Errorf("noDriver(%v) = %q; want %q", err, got, want)
		}
	}
}

// What a driver sends that makes no sense fills no disk.
func TestDriverThatTalksNonsense(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		before := len(w.log.text())
		w.driver.say("%s", strings.Repeat("SETINFO a \"b#c\"\nTRACKING nobody-asked 1\n", 1000))
		synctest.Wait()
		if n := strings.Count(w.log.text()[before:], "\n"); n != 1 {
			t.Errorf("%d lines in the log; want 1", n)
		}
	})
}

// The socket of a device is looked for where the configuration of the moment says.
func TestSocketMoves(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		moved := &fakeDriver{net: w.net, name: "dummy-Fake", dump: "SETINFO ups.status OB\nDATAOK\nDUMPDONE\n"}
		w.wg.Go(func() { moved.run(w.ctx, t) })
		c := w.dial()
		w.server.SetDevices([]Device{{Name: "Fake", Driver: "dummy"}})
		time.Sleep(5 * time.Second)
		c.want(status, `VAR fake ups.status "OL"`) // the link that is there is kept
		w.driver.set(func() { w.driver.conn.Close() })
		time.Sleep(5 * time.Second)
		c.want(status, `VAR fake ups.status "OB"`)
	})
}

// A driver that takes no requests holds up who makes one, and nobody else.
func TestStoppedDriverHoldsUpNobody(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.driver.set(func() { w.driver.deaf = true; w.driver.conn.Close() })
		time.Sleep(5 * time.Second)
		a, m, c := w.as("admin", "secret"), w.as("mon", `"mon pw"`), w.dial()
		a.send("INSTCMD fake load.off\n")
		synctest.Wait()
		start := time.Now()
		c.want("GET NUMLOGINS fake", "NUMLOGINS fake 0")
		m.want("LOGIN fake", "OK")
		c.want("LIST CLIENT fake", "BEGIN LIST CLIENT fake\nCLIENT fake 127.0.0.1:3493\nEND LIST CLIENT fake")
		if d := time.Since(start); d != 0 {
			t.Errorf("they waited %v for another's request; want not at all", d)
		}
		if got := a.line(); got != "ERR INSTCMD-FAILED" {
			t.Errorf("INSTCMD answered %q; want ERR INSTCMD-FAILED", got)
		}
	})
}

func TestListsAreRenderedOncePerChange(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		d := w.server.device([]byte("fake"))
		a, b := d.list(listVar, []byte("fake")), d.list(listVar, []byte("fake"))
		if &a[0] != &b[0] {
			t.Error("LIST VAR was rendered twice without a change")
		}
		w.driver.say("SETINFO ups.ro.num 44\n")
		synctest.Wait()
		c := string(d.list(listVar, []byte("fake")))
		if !strings.Contains(c, `VAR fake ups.ro.num "44"`) {
			t.Errorf("LIST VAR after a change = %s", c)
		}
		d.setFSD()
		if c := string(d.list(listVar, []byte("fake"))); !strings.Contains(c, `"FSD OL"`) {
			t.Errorf("LIST VAR after FSD = %s", c)
		}
		if c := string(d.list(listVar, []byte("FaKe"))); !strings.Contains(c, `VAR FaKe ups.ro.num "44"`) {
			t.Errorf("LIST VAR FaKe = %s", c)
		}
	})
}

func TestTracking(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		c := w.as("admin", "secret")
		c.want("SET TRACKING ON", "OK")
		begin := func(request string) string {
			id, ok := strings.CutPrefix(c.ask(request), "OK TRACKING ")
			if !ok || len(id) != 36 || id != strings.ToUpper(id) {
				t.Fatalf("%s: no tracking id in %q", request, id)
			}
			synctest.Wait()
			if got := w.driver.got(); len(got) != 1 || !strings.HasSuffix(got[0], " TRACKING "+id) {
				t.Errorf("driver got %q; want the id %s", got, id)
			}
			return id
		}
		first := begin("INSTCMD fake load.off")
		if second := begin("INSTCMD fake load.off"); first == second {
			t.Error("the same id twice")
		}
		for result, want := range map[string]string{
			"0": "SUCCESS", "1": "ERR UNKNOWN", "2": "ERR INVALID-ARGUMENT", "3": "ERR FAILED",
			"4": "ERR INVALID-ARGUMENT", "5": "ERR UNKNOWN", "-1": "PENDING",
		} {
			id := begin("SET VAR fake ups.rw.str x")
			c.want("GET TRACKING "+id, "PENDING")
			w.driver.say("TRACKING %s %s\n", id, result)
			synctest.Wait()
			c.want("GET TRACKING "+strings.ToLower(id)+" more", want)
			c.want("GET TRACKING "+id, want) // as often as one likes
		}

		// Nobody else may read a result; the same user may, on any connection.
		id := begin("SET VAR fake ups.rw.str x")
		other := w.as("mon", `"mon pw"`)
		other.want("SET TRACKING ON", "OK")
		other.want("GET TRACKING "+id, "ERR UNKNOWN")
		liar := w.as("admin", "wrong")
		liar.want("SET TRACKING ON", "OK")
		liar.want("GET TRACKING "+id, "ERR UNKNOWN")
		again := w.as("admin", "secret")
		again.want("GET TRACKING "+id, "ERR FEATURE-NOT-CONFIGURED")
		again.want("SET TRACKING ON", "OK")
		again.want("GET TRACKING "+id, "PENDING")

		time.Sleep(59 * time.Second)
		short := testConf()
		short.TrackingDelay = 30 * time.Second
		w.server.Reload(short, parseUsers(t, testUsers))
		c.want("GET TRACKING "+id, "ERR UNKNOWN")
	})
}

func TestTrackingTableIsBounded(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := &session{server: w.server}
		for range maxTracked + 10 {
			w.server.tracking.begin(s)
		}
		if n, m := len(w.server.tracking.entries), len(w.server.tracking.order); n != maxTracked || m != maxTracked {
			t.Errorf("%d entries, %d in order; want %d", n, m, maxTracked)
		}
	})
}
