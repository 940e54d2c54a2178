package upssched

import (
	"bytes"
	"context"
	"io"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/memnet"
	"gonut/internal/upssched/schedule"
	"gonut/internal/words"
)

func TestEncode(t *testing.T) {
	o := schedule.Origin{Type: "ONBATT", UPS: "a@h", Message: `UPS "a" #1 \ on` + "\nbattery"}
	const tail = ` "ONBATT" "a@h" "UPS \"a\" \#1 \\ on battery"` + "\n"
	for _, c := range []struct {
		event schedule.Event
		want  string
	}{
		{schedule.Start{Name: "t 1", After: 90 * time.Second, Origin: o}, `START "t 1" "90"` + tail},
		{schedule.Start{Name: "t", Shared: true, Origin: o}, `START-SHARED "t" "0"` + tail},
		{schedule.Start{Name: "t", After: -5 * time.Second, Origin: o}, `START "t" "-5"` + tail},
		{schedule.Cancel{Name: "t", Origin: o}, `CANCEL "t" ""` + tail},
		{schedule.Cancel{Name: "t", Else: "x", Matched: true, Origin: o}, `CANCEL-MATCHED "t" "x"` + tail},
		{nil, "LIST-TIMERS \"\" \"\" \"\" \"\" \"\"\n"},
	} {
		got := encode(c.event)
		if got != c.want {
			t.Errorf("encode(%+v) = %q; want %q", c.event, got, c.want)
		}
		ws, err := words.Split(got)
		if err != nil {
			t.Errorf("Split(%q): %v", got, err)
		}
		event, list, err := decode(ws)
		if err != nil || list != (c.event == nil) {
			t.Errorf("decode(%q) = %v, %v; want no error", ws, list, err)
		}
		if c.event != nil && encode(event) != got && !strings.Contains(got, "-5") { // all that is negative is the same
			t.Errorf("encode(decode(%q)) = %q; want the same", got, encode(event))
		}
	}
}

func TestDecodeOfShortRequests(t *testing.T) {
	for request, want := range map[string]schedule.Event{
		`START "t" "5"`:                 schedule.Start{Name: "t", After: 5 * time.Second},
		`START t 3OO`:                   schedule.Start{Name: "t", After: 3 * time.Second},
		`START t ""`:                    schedule.Start{Name: "t"},
		`START t -99999999999999999999`: schedule.Start{Name: "t", After: -time.Second},
		`START t 99999999999999999999`:  schedule.Start{Name: "t", After: (1<<31 - 1) * time.Second},
		`START t 5 T U M and more`:      schedule.Start{Name: "t", After: 5 * time.Second, Origin: schedule.Origin{Type: "T", UPS: "U", Message: "M"}},
		`CANCEL t`:                      schedule.Cancel{Name: "t"},
		`CANCEL t x`:                    schedule.Cancel{Name: "t", Else: "x"},
		`CANCEL-MATCHED t "" T`:         schedule.Cancel{Name: "t", Matched: true, Origin: schedule.Origin{Type: "T"}},
		`START t`:                       nil,
		`CANCEL`:                        nil,
		`start t 5`:                     nil,
		`LIST`:                          nil,
		`EXECUTE t`:                     nil,
		`START-TIMER t 5`:               nil,
		`START-SHARED`:                  nil,
		`"START t 5"`:                   nil,
	} {
		ws, err := words.Split(request)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := decode(ws)
		if !reflect.DeepEqual(got, want) || (err == nil) != (want != nil) {
			t.Errorf("decode(%s) = %+v, %v; want %+v", request, got, err, want)
		}
	}
	if _, _, err := decode(nil); err == nil {
		t.Error("decode of no words is no error; want one")
	}
}

func TestListing(t *testing.T) {
	now := time.Unix(1000, 600e6)
	got := listing(now, []schedule.Timer{
		{Name: "t", Due: now.Add(90 * time.Second), Origins: []schedule.Origin{{Type: "ONBATT", UPS: "a", Message: "m"}, {Type: "ONBATT", UPS: "b", Message: "n"}}},
		{Name: "late", Due: now.Add(-time.Second), Origins: []schedule.Origin{{}}},
	})
	const want = "BEGIN LIST TIMERS\nt\t1090\t90\tONBATT\ta,b\tm.\tn\nlate\t1000\t0\t\"\"\t\"\"\t\"\"\nEND LIST TIMERS\n"
	if got != want {
		t.Errorf("listing = %q; want %q", got, want)
	}
}

// FuzzRequests sends any bytes to a timer process: it must answer each request with
// one of its answers, and live.
func FuzzRequests(f *testing.F) {
	f.Add("START \"t\" \"5\" \"ONBATT\" \"a\" \"m\"\nLIST-TIMERS\n")
	f.Add("START-SHARED t 5\nSTART-SHARED t 5 a b c\nCANCEL-MATCHED t x a b c\nCANCEL t x\n")
	f.Add("START \"t # 5\"\nSTART \"t\nSTART t 5\n\n=\\\n\"")
	f.Add("START t -1\nSTART t 99999999999\nSTART t\nCANCEL\nFOO\x00\xff\n")
	f.Fuzz(func(t *testing.T, text string) {
		synctest.Test(t, func(t *testing.T) {
			var network memnet.Network
			l, err := network.Listen(t.Context(), "unix", "pipe")
			if err != nil {
				t.Fatal(err)
			}
			k := newKeeper(discard(), func(schedule.Run) error { return nil })
			var wg sync.WaitGroup
			wg.Go(func() { k.serve(t.Context(), l, func() {}) })
			c, err := network.Dial(t.Context(), "unix", "pipe")
			if err != nil {
				t.Fatal(err)
			}
			var answers bytes.Buffer
			wg.Go(func() { io.Copy(&answers, c) })
			io.WriteString(c, text)
			synctest.Wait()
			c.Close()
			synctest.Wait()
			checkAnswers(t, text, answers.String())
			cl := client{log: discard(), dial: func(ctx context.Context) (net.Conn, error) { return network.Dial(ctx, "unix", "pipe") }}
			if err := cl.list(t.Context(), io.Discard); err != nil {
				t.Errorf("after %q list gives error %v; want none", text, err)
			}
			if err := cl.send(t.Context(), schedule.Cancel{Name: "x", Else: "y"}); err != nil {
				t.Errorf("after %q send gives error %v; want none", text, err)
			}
			time.Sleep(1 << 62) // all timers end, and so does the process
			wg.Wait()
		})
	})
}

func checkAnswers(t *testing.T, text, answers string) {
	t.Helper()
	for l := range strings.Lines(answers) {
		l = strings.TrimSuffix(l, "\n")
		if l != replyOK && l != replyUnknown && l != listBegin && l != listEnd && strings.Count(l, "\t") < 5 {
			t.Errorf("requests %q are answered with %q", text, l)
		}
	}
}
