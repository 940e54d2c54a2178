package upsclient_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"gonut/upsclient"
)

// call is a method of Client with its arguments, its result as text.
type call func(ctx context.Context, c *upsclient.Client) (any, error)

func none(err error) (any, error) { return nil, err }

func TestMethods(t *testing.T) {
	tests := []struct {
		name    string
		call    call
		request string
		reply   string
		want    any
	}{
		{"Version", func(ctx context.Context, c *upsclient.Client) (any, error) { return c.Version(ctx) },
			"VER", "Network UPS Tools upsd 2.8.0 - http://www.networkupstools.org/\n",
			"Network UPS Tools upsd 2.8.0 - http://www.networkupstools.org/"},
		{"ProtocolVersion", func(ctx context.Context, c *upsclient.Client) (any, error) { return c.ProtocolVersion(ctx) },
			"PROTVER", "1.3\n", "1.3"},
		{"ListUPS", func(ctx context.Context, c *upsclient.Client) (any, error) { return c.ListUPS(ctx) },
			"LIST UPS", "BEGIN LIST UPS\nUPS b \"the \\\"big\\\" one\"\nUPS a \"Description unavailable\"\nEND LIST UPS\n",
			[]upsclient.UPS{{Name: "b", Description: `the "big" one`}, {Name: "a", Description: "Description unavailable"}}},
		{"ListVars", func(ctx context.Context, c *upsclient.Client) (any, error) { return c.ListVars(ctx, "Fake") },
			"LIST VAR Fake", "BEGIN LIST VAR fake\nVAR fake ups.test \"abc \\\"q\\\" \\\\ end\"\nVAR fake x \"\"\nEND LIST VAR fake\n",
			[]upsclient.Variable{{Name: "ups.test", Value: `abc "q" \ end`}, {Name: "x"}}},
		{"ListRW", func(ctx context.Context, c *upsclient.Client) (any, error) { return c.ListRW(ctx, "fake") },
			"LIST RW fake", "BEGIN LIST RW fake\nRW fake a.b \"1\"\nEND LIST RW fake\n",
			[]upsclient.Variable{{Name: "a.b", Value: "1"}}},
		{"ListCommands", func(ctx context.Context, c *upsclient.Client) (any, error) { return c.ListCommands(ctx, "fake") },
			"LIST CMD fake", "BEGIN LIST CMD fake\nCMD fake load.off\nEND LIST CMD fake\n", []string{"load.off"}},
		{"ListEnum", func(ctx context.Context, c *upsclient.Client) (any, error) { return c.ListEnum(ctx, "fake", "v") },
			"LIST ENUM fake v", "BEGIN LIST ENUM fake v\nENUM fake v \"th\\#ree\"\nEND LIST ENUM fake v\n", []string{"th#ree"}},
		{"ListRange", func(ctx context.Context, c *upsclient.Client) (any, error) { return c.ListRange(ctx, "fake", "v") },
			"LIST RANGE fake v", "BEGIN LIST RANGE fake v\nRANGE fake v \"1\" \"10\"\nEND LIST RANGE fake v\n",
			[]upsclient.Range{{Min: "1", Max: "10"}}},
		{"ListRange of nothing", func(ctx context.Context, c *upsclient.Client) (any, error) { return c.ListRange(ctx, "fake", "v") },
			"LIST RANGE fake v", "BEGIN LIST RANGE fake v\nEND LIST RANGE fake v\n", []upsclient.Range(nil)},
		{"ListClients", func(ctx context.Context, c *upsclient.Client) (any, error) { return c.ListClients(ctx, "FAKE") },
			"LIST CLIENT FAKE", "BEGIN LIST CLIENT FAKE\nCLIENT fake 127.0.0.1\nCLIENT fake ::1\nEND LIST CLIENT FAKE\n",
			[]string{"127.0.0.1", "::1"}},
		{"Get", func(ctx context.Context, c *upsclient.Client) (any, error) { return c.Get(ctx, "fake", "ups.status") },
			"GET VAR fake ups.status", "VAR fake ups.status \"OL CHRG\"\n", "OL CHRG"},
		{"Get of a name with a blank", func(ctx context.Context, c *upsclient.Client) (any, error) {
			return c.Get(ctx, "a b", "server.version")
		},
			`GET VAR "a b" server.version`, "VAR a b server.version \"2.8.0\"\n", "2.8.0"},
		{"Get, name quoted in the answer", func(ctx context.Context, c *upsclient.Client) (any, error) {
			return c.Get(ctx, "a b", "server.version")
		},
			`GET VAR "a b" server.version`, "VAR \"a b\" server.version \"2.8.0\"\r\n", "2.8.0"},
		{"Description", func(ctx context.Context, c *upsclient.Client) (any, error) { return c.Description(ctx, "fake", "x.y") },
			"GET DESC fake x.y", "DESC fake x.y \"Description unavailable\"\n", "Description unavailable"},
		{"CommandDescription", func(ctx context.Context, c *upsclient.Client) (any, error) {
			return c.CommandDescription(ctx, "fake", "load.off")
		}, "GET CMDDESC fake load.off", "CMDDESC fake load.off \"Turn off\"\n", "Turn off"},
		{"UPSDescription", func(ctx context.Context, c *upsclient.Client) (any, error) { return c.UPSDescription(ctx, "fake") },
			"GET UPSDESC fake", "UPSDESC fake \"Unavailable\"\n", "Unavailable"},
		{"NumLogins", func(ctx context.Context, c *upsclient.Client) (any, error) { return c.NumLogins(ctx, "fake") },
			"GET NUMLOGINS fake", "NUMLOGINS fake 2\n", 2},
		{"Type", func(ctx context.Context, c *upsclient.Client) (any, error) { return c.Type(ctx, "fake", "v") },
			"GET TYPE fake v", "TYPE fake v RW ENUM STRING:10\n", upsclient.Type{"RW", "ENUM", "STRING:10"}},
		{"Username", func(ctx context.Context, c *upsclient.Client) (any, error) { return none(c.Username(ctx, "mon")) },
			"USERNAME mon", "OK\n", nil},
		{"Password that needs quotes", func(ctx context.Context, c *upsclient.Client) (any, error) {
			return none(c.Password(ctx, `a=b #"\`))
		}, `PASSWORD "a=b \#\"\\"`, "OK\n", nil},
		{"Password that is empty", func(ctx context.Context, c *upsclient.Client) (any, error) { return none(c.Password(ctx, "")) },
			`PASSWORD ""`, "OK\n", nil},
		{"Login", func(ctx context.Context, c *upsclient.Client) (any, error) { return none(c.Login(ctx, "fake")) },
			"LOGIN fake", "OK\n", nil},
		{"Primary", func(ctx context.Context, c *upsclient.Client) (any, error) { return none(c.Primary(ctx, "fake")) },
			"PRIMARY fake", "OK PRIMARY-GRANTED\n", nil},
		{"FSD", func(ctx context.Context, c *upsclient.Client) (any, error) { return none(c.FSD(ctx, "fake")) },
			"FSD fake", "OK FSD-SET\n", nil},
		{"Set", func(ctx context.Context, c *upsclient.Client) (any, error) { return c.Set(ctx, "fake", "v", `a "b`) },
			`SET VAR fake v "a \"b"`, "OK\n", ""},
		{"Set, tracked", func(ctx context.Context, c *upsclient.Client) (any, error) { return c.Set(ctx, "fake", "v", "1") },
			"SET VAR fake v 1", "OK TRACKING 1BD31808-CB49-4AEC-9D75-D056E6F018D2\n", "1BD31808-CB49-4AEC-9D75-D056E6F018D2"},
		{"Command", func(ctx context.Context, c *upsclient.Client) (any, error) { return c.Command(ctx, "fake", "load.off") },
			"INSTCMD fake load.off", "OK\n", ""},
		{"Command with a parameter", func(ctx context.Context, c *upsclient.Client) (any, error) {
			return c.Command(ctx, "fake", "load.off", "1 2")
		}, `INSTCMD fake load.off "1 2"`, "OK\n", ""},
		{"EnableTracking", func(ctx context.Context, c *upsclient.Client) (any, error) { return none(c.EnableTracking(ctx)) },
			"SET TRACKING ON", "OK\n", nil},
		{"Tracking pending", func(ctx context.Context, c *upsclient.Client) (any, error) { return c.Tracking(ctx, "x") },
			"GET TRACKING x", "PENDING\n", false},
		{"Tracking done", func(ctx context.Context, c *upsclient.Client) (any, error) { return c.Tracking(ctx, "x") },
			"GET TRACKING x", "SUCCESS\n", true},
		{"Logout", func(ctx context.Context, c *upsclient.Client) (any, error) { return none(c.Logout(ctx)) },
			"LOGOUT", "OK Goodbye\n", nil},
		{"List", func(ctx context.Context, c *upsclient.Client) (any, error) { return c.List(ctx, "NEW", "fake") },
			"LIST NEW fake", "BEGIN LIST NEW fake\nNEW fake a \"b c\"\nEND LIST NEW fake\n", [][]string{{"a", "b c"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := client(t, step{tt.request, tt.reply})
			got, err := tt.call(t.Context(), c)
			if err != nil {
				t.Fatalf("%s = error %v; want %v", tt.name, err, tt.want)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("%s differs (-want +got):\n%s", tt.name, d)
			}
		})
	}
}

func TestRefusalLeavesTheConnectionUsable(t *testing.T) {
	c := client(t,
		step{"GET VAR fake ups.status", "ERR DATA-STALE\n"},
		step{"LIST VAR fake", "ERR DRIVER-NOT-CONNECTED\n"},
		step{"INSTCMD fake load.off", "ERR ACCESS-DENIED with a word to explain\n"},
		step{"FSD fake", "ERR\n"},
		step{"GET TRACKING id", "ERR FAILED\n"},
		step{"VER", "Network UPS Tools\n"},
	)
	ctx := t.Context()
	_, err := c.Get(ctx, "fake", "ups.status")
	wantIs(t, "Get", err, upsclient.ErrDataStale)
	_, err = c.ListVars(ctx, "fake")
	wantIs(t, "ListVars", err, upsclient.ErrDriverNotConnected)
	_, err = c.Command(ctx, "fake", "load.off")
	wantIs(t, "Command", err, upsclient.ErrAccessDenied)
	wantIs(t, "FSD", c.FSD(ctx, "fake"), upsclient.ErrUnknown)
	done, err := c.Tracking(ctx, "id")
	if !done {
		t.Error("Tracking(refused) = not done; want done")
	}
	wantIs(t, "Tracking", err, upsclient.ErrFailed)
	if _, err := c.Version(ctx); err != nil || c.Err() != nil {
		t.Errorf("Version after refusals = %v, Err = %v; want nil", err, c.Err())
	}
}

func wantIs(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s = %v; want %v", what, err, want)
	}
}

func TestPrimaryFallsBackToMaster(t *testing.T) {
	c := client(t,
		step{"PRIMARY fake", "ERR UNKNOWN-COMMAND\n"},
		step{"MASTER fake", "OK MASTER-GRANTED\n"},
		step{"PRIMARY fake", "ERR ACCESS-DENIED\n"},
	)
	if err := c.Primary(t.Context(), "fake"); err != nil {
		t.Errorf("Primary with an old server = %v; want nil", err)
	}
	wantIs(t, "Primary", c.Primary(t.Context(), "fake"), upsclient.ErrAccessDenied)
}

// After an answer that makes no sense nothing that follows can be trusted.
func TestStrangeAnswersEndTheClient(t *testing.T) {
	get := func(ctx context.Context, c *upsclient.Client) (any, error) { return c.Get(ctx, "fake", "v") }
	list := func(ctx context.Context, c *upsclient.Client) (any, error) { return c.ListVars(ctx, "fake") }
	set := func(ctx context.Context, c *upsclient.Client) (any, error) { return c.Set(ctx, "fake", "v", "1") }
	tests := []struct {
		name, request, reply, problem string
		call                          call
	}{
		{"other variable", "GET VAR fake v", "VAR fake w \"1\"\n", "does not answer", get},
		{"no value", "GET VAR fake v", "VAR fake v\n", "does not answer", get},
		{"empty line", "GET VAR fake v", "\n", "does not answer", get},
		{"endless line", "GET VAR fake v", strings.Repeat("VAR fake v ", 500) + "\n", "longer than", get},
		{"no list", "LIST VAR fake", "VAR fake v \"1\"\n", "does not begin", list},
		{"other list", "LIST VAR fake", "BEGIN LIST VAR other\n", "does not begin", list},
		{"error within", "LIST VAR fake", "BEGIN LIST VAR fake\nERR DATA-STALE\n", "in the middle", list},
		{"list within", "LIST VAR fake", "BEGIN LIST VAR fake\nBEGIN LIST VAR fake\n", "does not belong", list},
		{"other end", "LIST VAR fake", "BEGIN LIST VAR fake\nEND LIST VAR other\n", "does not belong", list},
		{"short row", "LIST VAR fake", "BEGIN LIST VAR fake\nVAR fake v\nEND LIST VAR fake\n", "too short", list},
		{"neither", "SET VAR fake v 1", "MAYBE\n", "neither OK nor ERR", set},
		{"not quite OK", "SET VAR fake v 1", "OKAY\n", "neither OK nor ERR", set},
		{"negative logins", "GET NUMLOGINS fake", "NUMLOGINS fake -1\n", "no number",
			func(ctx context.Context, c *upsclient.Client) (any, error) { return c.NumLogins(ctx, "fake") }},
		{"odd result", "GET TRACKING x", "PERHAPS\n", "no result",
			func(ctx context.Context, c *upsclient.Client) (any, error) { return c.Tracking(ctx, "x") }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := client(t, step{tt.request, tt.reply})
			_, err := tt.call(t.Context(), c)
			var strange *upsclient.ProtocolError
			if !errors.As(err, &strange) || !strings.Contains(strange.Problem, tt.problem) || strange.Request != tt.request {
				t.Fatalf("error = %v; want a ProtocolError with %q of request %q", err, tt.problem, tt.request)
			}
			if _, again := c.Version(t.Context()); again != err || c.Err() != err {
				t.Errorf("next call = %v, Err = %v; want the same error", again, c.Err())
			}
		})
	}
}

func TestPasswordIsInNoError(t *testing.T) {
	c := client(t, step{"PASSWORD hush", "WHAT\n"})
	if err := c.Password(t.Context(), "hush"); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("Password = %v; want an error without the password", err)
	}
	c = client(t)
	if err := c.Password(t.Context(), "hu\nsh"); err == nil || strings.Contains(err.Error(), "sh\"") {
		t.Errorf("Password with a line feed = %v; want an error without the password", err)
	}
}

func TestWordsThatWouldNotArrive(t *testing.T) {
	c := client(t, step{"VER", "still here\n"})
	for _, w := range []string{"a\nLOGOUT", "a\x00", "a\tb", strings.Repeat("x", 513)} {
		if _, err := c.Get(t.Context(), w, "v"); err == nil {
			t.Errorf("Get(%.10q) = nil; want an error", w)
		}
	}
	if _, err := c.Do(t.Context()); err == nil {
		t.Error("Do() = nil; want an error")
	}
	if _, err := c.Version(t.Context()); err != nil {
		t.Errorf("Version = %v; want nil, nothing was sent", err)
	}
}

func TestControlCharactersAreDropped(t *testing.T) {
	c := client(t, step{"VER", "a\x1b[2Jb\x7f\tc\r\n"})
	if got, err := c.Version(t.Context()); got != "a[2Jb\tc" || err != nil {
		t.Errorf("Version = %q, %v; want the text without control characters", got, err)
	}
}

// Time is the bubble's: the whole test takes no time.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		go io.Copy(io.Discard, theirs)
		c := upsclient.New(ours, upsclient.Options{ReplyTimeout: 3 * time.Second})
		start := time.Now()
		_, err := c.Get(t.Context(), "fake", "v")
		var lost *upsclient.ConnError
		if !errors.As(err, &lost) || lost.Op != upsclient.OpReceive || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Get from a silent server = %v; want a ConnError for a time-out", err)
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("it took %v; want 3s", d)
		}
	})
}

func TestServerThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		c := upsclient.New(ours, upsclient.Options{})
		start := time.Now()
		_, err := c.Get(t.Context(), "fake", "v")
		var lost *upsclient.ConnError
		if !errors.As(err, &lost) || lost.Op != upsclient.OpSend || time.Since(start) != upsclient.DefaultReplyTimeout {
			t.Errorf("Get = %v after %v; want a failure to send after 5s", err, time.Since(start))
		}
	})
}

func TestContextInterrupts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		go io.Copy(io.Discard, theirs)
		c := upsclient.New(ours, upsclient.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		_, err := c.Get(ctx, "fake", "v")
		if !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
			t.Errorf("Get = %v after %v; want context.Canceled after 1s", err, time.Since(start))
		}
		if c.Err() == nil {
			t.Error("Err = nil; want an error: an answer may still come")
		}
	})
}

func TestContextDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		go io.Copy(io.Discard, theirs)
		c := upsclient.New(ours, upsclient.Options{})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.ListVars(ctx, "fake")
		var lost *upsclient.ConnError
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &lost) || !lost.Timeout() || time.Since(start) != 2*time.Second {
			t.Errorf("ListVars = %v after %v; want context.DeadlineExceeded after 2s", err, time.Since(start))
		}
	})
}

// A line a second keeps each line's deadline; the list as a whole has one too. It
// ends while a line comes, so that it takes some times to see both orders.
func TestDrippingList(t *testing.T) {
	for range 50 {
		synctest.Test(t, drippingList)
	}
}

func drippingList(t *testing.T) {
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	defer func() { <-done }()
	go func() {
		defer close(done)
		defer theirs.Close()
		theirs.Read(make([]byte, 100))
		fmt.Fprint(theirs, "BEGIN LIST VAR fake\n")
		for {
			time.Sleep(time.Second)
			if _, err := fmt.Fprint(theirs, "VAR fake v \"1\"\n"); err != nil {
				return
			}
		}
	}()
	c := upsclient.New(ours, upsclient.Options{})
	start := time.Now()
	_, err := c.ListVars(t.Context(), "fake")
	var lost *upsclient.ConnError
	if d := time.Since(start); !errors.As(err, &lost) || d != time.Minute {
		t.Errorf("ListVars = %v after %v; want a ConnError after 1m", err, d)
	}
}

func TestEndlessListIsBounded(t *testing.T) {
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		theirs.Read(make([]byte, 100))
		fmt.Fprint(theirs, "BEGIN LIST UPS\n")
		rows := strings.Repeat("UPS a \"b\"\n", 1000)
		for {
			if _, err := io.WriteString(theirs, rows); err != nil {
				return
			}
		}
	}()
	c := upsclient.New(ours, upsclient.Options{})
	_, err := c.ListUPS(t.Context())
	var strange *upsclient.ProtocolError
	if !errors.As(err, &strange) {
		t.Errorf("ListUPS = %v; want a ProtocolError", err)
	}
}

func TestServerGoesAway(t *testing.T) {
	for _, reply := range []string{"", "VAR fake v \"half a li"} {
		c := client(t, step{"GET VAR fake v", reply})
		_, err := c.Get(t.Context(), "fake", "v")
		var lost *upsclient.ConnError
		if !errors.As(err, &lost) || !errors.Is(err, io.EOF) {
			t.Errorf("Get, answer %q = %v; want a ConnError for io.EOF", reply, err)
		}
	}
}

func TestCloseTwice(t *testing.T) {
	c := client(t, step{"LOGOUT", "OK Goodbye\n"})
	if err := c.Logout(t.Context()); err != nil {
		t.Errorf("Logout = %v; want nil", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("Close after Logout = %v; want nil", err)
	}
	var lost *upsclient.ConnError
	if _, err := c.Version(t.Context()); !errors.As(err, &lost) {
		t.Errorf("Version after Logout = %v; want a ConnError", err)
	}
}
