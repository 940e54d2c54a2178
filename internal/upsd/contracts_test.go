package upsd

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/program"
)

// TestHiddenContracts holds the server to what clients in the field rely on without
// its being written anywhere. Each is named after who breaks otherwise.
func TestHiddenContracts(t *testing.T) {
	for _, c := range []struct {
		name  string
		check func(t *testing.T, w *world)
	}{
		{"WinNUT takes the fifth word of VER for the version", func(t *testing.T, w *world) {
			if ws := strings.Split(w.dial().ask("VER"), " "); len(ws) < 5 || ws[0] != "Network" || ws[4] != program.Version() {
				t.Errorf("VER has the words %q; want the version as the fifth", ws)
			}
		}},
		{"WinNUT ends lines with CR, CR, LF", func(t *testing.T, w *world) {
			c := w.dial()
			c.want("GET VAR fake ups.ro.num\r\r", `VAR fake ups.ro.num "3"`)
			c.want("NETVER \t \r", "1.3")
		}},
		{"WinNUT says LOGIN without a UPS and goes on", func(t *testing.T, w *world) {
			c := w.dial()
			c.want("LOGIN", "ERR USERNAME-REQUIRED")
			c.want("USERNAME sec", "OK")
			c.want("PASSWORD s", "OK")
			c.want("LOGIN", "ERR INVALID-ARGUMENT")
			c.want(status, `VAR fake ups.status "OL"`)
		}},
		{"NETVER is a bare number and PROTVER the same", func(t *testing.T, w *world) {
			c := w.dial()
			c.want("NETVER", "1.3")
			c.want("PROTVER", "1.3")
		}},
		{"go.nut, aionut and PeaNUT compare the edges of lists with what they asked", func(t *testing.T, w *world) {
			for _, query := range []string{"UPS", "VAR fake", "VAR FaKe", "RW fake", "CMD fake", "CLIENT fake", "ENUM fake UPS.rw.enum", "RANGE fake ups.RW.range"} {
				lines := strings.Split(w.dial().ask("LIST "+query), "\n")
				if lines[0] != "BEGIN LIST "+query || lines[len(lines)-1] != "END LIST "+query {
					t.Errorf("LIST %s begins with %q and ends with %q", query, lines[0], lines[len(lines)-1])
				}
			}
		}},
		{"collectd goes on in clear after STARTTLS without TLS", func(t *testing.T, w *world) {
			c := w.dial()
			c.want("STARTTLS", "ERR FEATURE-NOT-CONFIGURED")
			c.want(status, `VAR fake ups.status "OL"`)
		}},
		{"PyNUT quotes nothing, others everything", func(t *testing.T, w *world) {
			c := w.dial()
			c.want(`GET VAR fake ups.test`, `VAR fake ups.test "abc \"q\" \\ end"`)
			c.want(`"GET" "VAR" "fake" "ups.test"`, `VAR fake ups.test "abc \"q\" \\ end"`)
		}},
		{"check_ups sends all requests and LOGOUT before it reads", func(t *testing.T, w *world) {
			c := w.dial()
			c.send("VER\nLIST UPS\nGET VAR fake ups.ro.num\nGET VAR fake nope\nLOGOUT\n")
			var got []string
			for l := ""; !strings.HasPrefix(l, "("); {
				l = c.line()
				got = append(got, l)
			}
			want := []string{banner(), "BEGIN LIST UPS", `UPS fake "Description unavailable"`, `UPS Third "a \"third\""`, "END LIST UPS",
				`VAR fake ups.ro.num "3"`, "ERR VAR-NOT-SUPPORTED", "OK Goodbye", "(EOF)"}
			if !slices.Equal(got, want) {
				t.Errorf("got %q; want %q", got, want)
			}
		}},
		{"check_ups connects for every variable, with a password", func(t *testing.T, w *world) {
			begin := time.Now()
			for range 500 {
				c := w.as("sec", "s")
				c.want(status, `VAR fake ups.status "OL"`)
				c.want("LOGOUT", "OK Goodbye")
			}
			if d := time.Since(begin); d != 0 {
				t.Errorf("500 connections took %v; want nobody to wait", d)
			}
		}},
		{"jNut, go.nut and upsrw ask for descriptions of what is not there", func(t *testing.T, w *world) {
			c := w.dial()
			c.want("GET DESC fake nope", `DESC fake nope "Description unavailable"`)
			c.want("GET CMDDESC fake nope", `CMDDESC fake nope "Description unavailable"`)
			c.want("GET TYPE fake nope", "ERR VAR-NOT-SUPPORTED")
		}},
		{"nobody expects USERNAME and PASSWORD to be refused", func(t *testing.T, w *world) {
			w.as("nobody", "nonsense").want(status, `VAR fake ups.status "OL"`)
		}},
		{"who may not log in can still read", func(t *testing.T, w *world) {
			c := w.as("admin", "secret")
			c.want("LOGIN fake", "ERR ACCESS-DENIED")
			c.want(status, `VAR fake ups.status "OL"`)
		}},
		{"PyNUT says MASTER, newer clients PRIMARY", func(t *testing.T, w *world) {
			c := w.as("mon", `"mon pw"`)
			c.want("MASTER fake", "OK MASTER-GRANTED")
			c.want("PRIMARY fake", "OK PRIMARY-GRANTED")
		}},
		{"Home Assistant depends on the order of LIST UPS", func(t *testing.T, w *world) {
			var ds []Device
			want := "BEGIN LIST UPS"
			for i := range 50 { // in no other order than the file's
				d := Device{Name: fmt.Sprintf("u%d", i*37%50), Driver: "dummy"}
				ds = append(ds, d)
				want += "\nUPS " + d.Name + ` "Description unavailable"`
			}
			w.server.SetDevices(ds)
			c := w.dial()
			for range 3 {
				c.want("LIST UPS", want+"\nEND LIST UPS")
			}
		}},
		{"Home Assistant reads while a forced shutdown is under way", func(t *testing.T, w *world) {
			w.as("admin", "secret").want("FSD fake", "OK FSD-SET")
			c := w.dial()
			c.want(status, `VAR fake ups.status "FSD OL"`)
			if got := c.ask("LIST VAR fake"); !strings.Contains(got, `VAR fake ups.status "FSD OL"`) {
				t.Errorf("LIST VAR = %s", got)
			}
		}},
		{"go.nut and PeaNUT list clients where there are none", func(t *testing.T, w *world) {
			w.dial().want("NETVER", "1.3") // is connected and not logged in
			w.dial().want("LIST CLIENT fake", "BEGIN LIST CLIENT fake\nEND LIST CLIENT fake")
			w.dial().want("LIST CLIENT third", "BEGIN LIST CLIENT third\nEND LIST CLIENT third")
		}},
	} {
		t.Run(c.name, func(t *testing.T) { inWorld(t, c.check) })
	}
}

// cErrors are all error words of C's protocol. Clients know no others: WinNUT fails
// on them, aionut and rups have fixed sets.
var cErrors = strings.Fields(`ACCESS-DENIED UNKNOWN-UPS VAR-NOT-SUPPORTED CMD-NOT-SUPPORTED INVALID-ARGUMENT
	INSTCMD-FAILED SET-FAILED READONLY TOO-LONG FEATURE-NOT-SUPPORTED FEATURE-NOT-CONFIGURED ALREADY-SSL-MODE
	DRIVER-NOT-CONNECTED DATA-STALE ALREADY-LOGGED-IN INVALID-PASSWORD ALREADY-SET-PASSWORD INVALID-USERNAME
	ALREADY-SET-USERNAME USERNAME-REQUIRED PASSWORD-REQUIRED UNKNOWN-COMMAND VAR-UNKNOWN UNKNOWN-TYPE
	UNKNOWN-INSTCMD MISSING-ARGUMENT INVALID-VALUE UNKNOWN FAILED`)

func TestNoNewErrorWords(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../netproto/netproto.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, name := range spec.Names {
			if !strings.HasPrefix(name.Name, "Err") || i >= len(spec.Values) {
				continue
			}
			word, err := strconv.Unquote(spec.Values[i].(*ast.BasicLit).Value)
			if found++; err != nil || !slices.Contains(cErrors, word) {
				t.Errorf("netproto.%s is %q, a word that C's clients do not know", name.Name, word)
			}
		}
		return true
	})
	if found < 20 {
		t.Errorf("found %d error words; the test looks in the wrong place", found)
	}
}

// What can be asked in which state of the driver's link.
func TestLinkStates(t *testing.T) {
	bring := map[string]func(w *world){
		"current": func(w *world) {},
		"nothing received yet": func(w *world) {
			w.driver.set(func() { w.driver.dump = ""; w.driver.conn.Close() })
			time.Sleep(3 * time.Second)
		},
		"the driver says stale": func(w *world) { w.driver.say("DATASTALE\n") },
		"silence": func(w *world) {
			w.driver.set(func() { w.driver.mute = true })
			time.Sleep(22 * time.Second)
		},
		"link down": func(w *world) {
			w.driver.set(func() { w.driver.refuse = true; w.driver.conn.Close() })
		},
	}
	const denied, gone, stale = "ERR ACCESS-DENIED", "ERR DRIVER-NOT-CONNECTED", "ERR DATA-STALE"
	for _, c := range []struct{ state, get, set, command, logins string }{
		{"current", `VAR fake ups.status "OL"`, "OK", "OK", "NUMLOGINS fake 0"},
		{"nothing received yet", `VAR fake ups.status "WAIT"`, "ERR VAR-NOT-SUPPORTED", "ERR CMD-NOT-SUPPORTED", "NUMLOGINS fake 0"},
		{"the driver says stale", stale, stale, stale, stale},
		{"silence", stale, stale, stale, stale},
		{"link down", gone, gone, gone, gone},
	} {
		t.Run(c.state, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				bring[c.state](w)
				synctest.Wait()
				a := w.as("admin", "secret")
				a.want(status, c.get)
				a.want("SET VAR fake ups.rw.str x", c.set)
				a.want("INSTCMD fake load.off", c.command)
				a.want("GET NUMLOGINS fake", c.logins)
				// These need no driver.
				a.want("GET UPSDESC fake", `UPSDESC fake "Unavailable"`)
				a.want("GET VAR fake server.version", `VAR fake server.version "`+program.Version()+`"`)
				a.want("LIST CLIENT fake", "BEGIN LIST CLIENT fake\nEND LIST CLIENT fake")
				a.want("LOGIN fake", denied)
				a.want("FSD fake", "OK FSD-SET")
				m := w.as("mon", `"mon pw"`)
				m.want("LOGIN fake", "OK")
				m.want("PRIMARY fake", "OK PRIMARY-GRANTED")
				m.want("LOGOUT", "OK Goodbye")
				if c.get[0] != 'V' {
					for _, list := range []string{"VAR", "RW", "CMD"} {
						a.want("LIST "+list+" fake", c.get)
					}
					for _, what := range []string{"TYPE", "DESC", "CMDDESC"} {
						a.want("GET "+what+" fake ups.status", c.get)
					}
					a.want("LIST ENUM fake ups.rw.enum", c.get)
					a.want("LIST RANGE fake ups.rw.range", c.get)
				}
			})
		})
	}
}

// With COMPAT go.nut, clients that begin like that library are told that a dead UPS
// has nothing; nobody else is.
func TestCompatGoNUT(t *testing.T) {
	empty := func(query string) string { return "BEGIN LIST " + query + "\nEND LIST " + query }
	inWorld(t, func(t *testing.T, w *world) {
		goNUT := func() *client {
			c := w.dial()
			c.want("ver", banner())
			c.want("netver", "1.3")
			return c
		}
		goNUT().want("LIST VAR third", "ERR DRIVER-NOT-CONNECTED") // not asked for

		c := testConf()
		c.CompatGoNUT = true
		w.server.Reload(c, parseUsers(t, testUsers))
		g := goNUT()
		for _, query := range []string{"VAR third", "RW Third", "CMD third"} {
			g.want("LIST "+query, empty(query))
		}
		g.want("GET NUMLOGINS third", "NUMLOGINS third 0")
		g.want("GET UPSDESC third", `UPSDESC third "a \"third\""`)
		g.want("LIST VAR nope", "ERR UNKNOWN-UPS")
		g.want("GET VAR third ups.status", "ERR DRIVER-NOT-CONNECTED")
		g.want(status, `VAR fake ups.status "OL"`)
		w.driver.say("DATASTALE\n")
		synctest.Wait()
		g.want("LIST VAR fake", empty("VAR fake"))

		// Who logs in is a monitor and has to know.
		g.want("USERNAME sec", "OK")
		g.want("PASSWORD s", "OK")
		g.want("LIST VAR third", empty("VAR third"))
		g.want("LOGIN third", "OK")
		g.want("LIST VAR third", "ERR DRIVER-NOT-CONNECTED")

		for _, opening := range [][]string{{}, {"VER"}, {"NETVER"}, {"NETVER", "VER", "NETVER"}, {"LIST UPS", "VER", "NETVER"}, {"VER", "VER", "NETVER"}} {
			c := w.dial()
			for _, request := range opening {
				c.ask(request)
			}
			c.want("LIST VAR third", "ERR DRIVER-NOT-CONNECTED")
		}
	})
}

// A driver that takes no requests costs the client an error and the driver its
// connection, and nobody waits longer than that.
func TestDriverThatTakesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.driver.set(func() { w.driver.deaf = true; w.driver.conn.Close() })
		a := w.as("admin", "secret")
		a.want("SET TRACKING ON", "OK")
		for request, want := range map[string]string{
			"SET VAR fake ups.rw.str x": "ERR SET-FAILED",
			"INSTCMD fake load.off":     "ERR INSTCMD-FAILED",
		} {
			time.Sleep(5 * time.Second) // until it is connected again
			a.want(status, `VAR fake ups.status "OL"`)
			begin := time.Now()
			a.want(request, want)
			if d := time.Since(begin); d > sendTimeout {
				t.Errorf("%s took %v; want %v at most", request, d, sendTimeout)
			}
		}
	})
}

// Results of tracked requests are kept for TRACKINGDELAY, through the driver's
// absence, the client's and a reload.
func TestTrackingExpires(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.as("admin", "secret")
		a.want("SET TRACKING ON", "OK")
		id := strings.TrimPrefix(a.ask("INSTCMD fake load.off"), "OK TRACKING ")
		w.driver.say("TRACKING %s 0\n", id)
		synctest.Wait()
		a.want("LOGOUT", "OK Goodbye")
		w.driver.set(func() { w.driver.conn.Close() })
		w.server.Reload(testConf(), parseUsers(t, testUsers))
		ask := func(want string) {
			t.Helper()
			c := w.as("admin", "secret")
			c.want("SET TRACKING ON", "OK")
			c.want("GET TRACKING "+id, want)
			c.want("LOGOUT", "OK Goodbye")
		}
		time.Sleep(time.Hour - time.Minute)
		ask("SUCCESS")
		time.Sleep(2 * time.Minute)
		ask("ERR UNKNOWN")
	})
}

// farListener is one whose clients are other hosts.
type farListener struct {
	net.Listener
	hosts []string // one for each client, the last for all that follow
}

func (l *farListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	host := l.hosts[0]
	l.hosts = l.hosts[min(1, len(l.hosts)-1):]
	return farConn{c, &net.TCPAddr{IP: net.ParseIP(host), Port: 1}}, nil
}

type farConn struct {
	net.Conn
	addr net.Addr
}

func (c farConn) RemoteAddr() net.Addr { return c.addr }

// far lets the server listen to other hosts and returns how they dial it: one for each
// client, the last for all that follow.
func (w *world) far(hosts ...string) (dial func() *client) {
	w.t.Helper()
	const address = "192.0.2.254:3493"
	inner, err := w.net.Listen(w.ctx, "tcp", address)
	if err != nil {
		w.t.Fatal(err)
	}
	w.wg.Go(func() { w.server.Serve(w.ctx, &farListener{inner, hosts}) })
	return func() *client {
		w.t.Helper()
		c, err := w.net.Dial(w.ctx, "tcp", address)
		if err != nil {
			w.t.Fatal(err)
		}
		return w.client(c)
	}
}

// A host that has enough connections gets no more; others do, and so does it when
// one of them ends.
func TestLimitPerHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testConf()
		c.MaxConnPerHost = 3
		w := newWorld(t, c)
		defer w.end()
		// The networks of IPv6 count as one host.
		dial := w.far("2001:db8::1", "2001:db8::2", "2001:db8::3:4:5", "2001:db8::6", "192.0.2.1", "2001:db8:0:1::1", "2001:db8::7")
		var first *client
		for range 3 {
			first = dial()
			first.want("NETVER", "1.3")
		}
		if got := dial().line(); !strings.HasPrefix(got, "(") {
			t.Errorf("a fourth connection of the network got %q; want its end", got)
		}
		dial().want("NETVER", "1.3")
		dial().want("NETVER", "1.3")
		if n := strings.Count(w.log.text(), "MAXCONNPERHOST"); n != 1 {
			t.Errorf("the log says %d times that there are too many; want once", n)
		}
		first.want("LOGOUT", "OK Goodbye")
		synctest.Wait()
		dial().want("NETVER", "1.3")
	})
}
