package driver_test

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/driver"
	"gonut/internal/drvsock"
	"gonut/internal/ups"
	"gonut/internal/words"
)

func TestServerVectors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.refuse["nope.x"] = driver.ErrUnknown
		r := start(t, b, nil, driver.Hooks{})
		c := r.dial()
		c.ask("NOBROADCAST")
		c.ask("PING", "PONG")
		c.ask("ping", "PONG")
		c.ask("GETPID", fmt.Sprintf("PID %d", os.Getpid()))
		c.ask("DUMPVALUE nope", "DATAOK", "DUMPDONE")
		c.ask("DUMPSTATUS", `SETINFO ups.status "OL"`, "DATAOK", "DUMPDONE")
		c.ask("DUMPVALUE ups.delay.start", `SETINFO ups.delay.start "10"`, "SETAUX ups.delay.start 8",
			"SETFLAGS ups.delay.start RW STRING", "DATAOK", "DUMPDONE")
		c.ask("INSTCMD nope.x TRACKING abc", "TRACKING abc 1")
		c.ask("INSTCMD driver.killpower TRACKING z", "TRACKING z 2")
		c.ask("INSTCMD load.off 5 TRACKING y", "TRACKING y 0")
		c.ask("SET driver.debug abc TRACKING t", "TRACKING t 2")
		c.ask("SET ups.delay.start 33 TRACKING u", "TRACKING u 0")
		// C leaves these pending for ever; the asker deserves an answer.
		c.ask("INSTCMD load.off a b TRACKING x", "TRACKING x 2")
		for _, line := range []string{"SET a b c d", "SET a", "INSTCMD", "", "# comment", "DUMPVALUE", "HELLO WORLD", "INSTCMD load.off"} {
			c.send(line)
		}
		c.silent()
		c.send(`NETVER "a#b" and more`)
		c.ask("PING", "PONG")
		c.ask("LOGOUT", "OK Goodbye")
		if !c.ended() {
			t.Error("still connected after LOGOUT; want the end")
		}
		if got, want := b.done[:2], []string{"nope.x", "load.off 5"}; !slices.Equal(got, want) {
			t.Errorf("the device was told %q; want %q", got, want)
		}
	})
}

func TestServerEscapesInDumpsAndBroadcasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		r := start(t, b, nil, driver.Hooks{})
		c := r.dial()
		b.set(func() { b.values["ups.mfr"] = `abc " \ # q` })
		time.Sleep(turn)
		const want = `SETINFO ups.mfr "abc \" \\ \# q"`
		if got := c.line(); got != want {
			t.Errorf("broadcast = %s; want %s", got, want)
		}
		c.ask("DUMPVALUE ups.mfr", want, "DATAOK", "DUMPDONE")
	})
}

// A dump rebuilds the state exactly, and so does everything that follows it.
func TestServerDumpAndChangesRebuildTheState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.commands = []string{"load.off", "test.panel.start"}
		r := start(t, b, nil, driver.Hooks{})
		c := r.dial()
		c.send("DUMPALL")
		mirror := ups.NewState()
		apply := func(line string) {
			ws, err := words.Split(line)
			if err != nil {
				t.Fatalf("Split(%q): %v", line, err)
			}
			if m := drvsock.Parse(ws); m.Kind == drvsock.Change {
				mirror.Apply(m.Change)
			}
		}
		for _, l := range c.until("DUMPDONE") {
			apply(l)
		}
		b.set(func() { b.values["battery.charge"] = "90"; b.values["ups.id"] = "a b" })
		time.Sleep(2500 * time.Millisecond)
		for l := c.line(); l != ""; l = c.line() {
			apply(l)
		}
		got, want := lines(mirror), lines(r.State())
		if !slices.Equal(got, want) {
			t.Errorf("mirror = %q; want %q", got, want)
		}
	})
}

func lines(s *ups.State) []string {
	var ls []string
	for _, c := range s.Snapshot().Changes() {
		ls = append(ls, strings.TrimSuffix(string(drvsock.Append(nil, c)), "\n"))
	}
	return ls
}

func TestServerBroadcastSwitch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		r := start(t, b, nil, driver.Hooks{})
		c := r.dial()
		next := 0
		change := func() {
			next++
			b.set(func() { b.values["ups.id"] = fmt.Sprint(next) })
			time.Sleep(turn)
		}
		c.ask("BROADCAST 0")
		change()
		c.silent()
		c.ask("BROADCAST 1")
		change()
		if got, want := c.line(), `SETINFO ups.id "2"`; got != want {
			t.Errorf("after BROADCAST 1: %q; want %q", got, want)
		}
		c.ask("NOBROADCAST")
		change()
		c.silent()
		// A dump does not switch them on again.
		c.send("DUMPALL")
		c.until("DUMPDONE")
		change()
		c.silent()
		c.ask("BROADCAST")
		change()
		if got, want := c.line(), `SETINFO ups.id "5"`; got != want {
			t.Errorf("after BROADCAST: %q; want %q", got, want)
		}
	})
}

// A peer that stops reading is dropped; the others and the device notice nothing.
func TestServerDropsSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		r := start(t, b, nil, driver.Hooks{})
		slow, good := r.dialConn(), r.dial()
		good.ask("NOBROADCAST")
		slow.Write([]byte("DUMPALL\n"))
		for i := range 20 {
			b.set(func() { b.values["ups.id"] = fmt.Sprint(i) })
			time.Sleep(time.Second)
			good.ask("PING", "PONG")
		}
		time.Sleep(turn)
		r.want("ups.id", "19")
		slow.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := io.Copy(io.Discard, slow); os.IsTimeout(err) {
			t.Error("the slow reader is still connected; want it dropped")
		}
	})
}

func TestServerEndsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, newBench(), nil, driver.Hooks{})
		c := r.dial()
		r.cancel()
		<-r.result
		if !c.ended() {
			t.Error("still connected after the end of the context")
		}
	})
}

// Who asks for the end is told that it comes.
func TestServerAnswersBeforeTheEnd(t *testing.T) {
	for _, request := range []string{"INSTCMD driver.exit", "INSTCMD driver.killpower"} {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, newBench(), func(c *driver.Config) { c.AllowKillpower = true }, driver.Hooks{})
			go func() {
				<-r.result
				r.cancel()
			}()
			c := r.dial()
			c.send(request + " TRACKING id")
			c.until("TRACKING id 0")
			if !c.ended() {
				t.Errorf("%s: still connected", request)
			}
		})
	}
}

func FuzzServer(f *testing.F) {
	for _, seed := range []string{
		"DUMPALL\nPING\n", "INSTCMD load.off a b TRACKING x\nSET a b\n", "SET ups.delay.start \"a \\\"b\" TRACKING 1\n",
		"x \"a#b\" PING\nPING\n", "BROADCAST 0\nNOBROADCAST\nDUMPVALUE ups.status\nLOGOUT\nPING\n", "\x00\xff\\\n\n=\n", "SET driver.debug 1 TRACKING \"a b\"\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		synctest.Test(t, func(t *testing.T) {
			r := start(t, newBench(), nil, driver.Hooks{})
			c := r.dial()
			go func() {
				c.conn.Write(input)
				c.conn.Write([]byte("\"\n\nNOBROADCAST\n"))
			}()
			for l := c.line(); l != ""; l = c.line() {
				if _, err := words.Split(l); err != nil {
					t.Errorf("sent %q: %v; want lines of the grammar", l, err)
				}
			}
			if strings.Contains(strings.ToLower(string(input)), "logout") || strings.Contains(strings.ToLower(string(input)), "driver.") {
				return
			}
			other := r.dial()
			other.ask("NOBROADCAST")
			other.ask("PING", "PONG")
		})
	})
}
