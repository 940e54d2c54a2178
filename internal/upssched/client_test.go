package upssched

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/program"
	"gonut/internal/upssched/schedule"
)

// A fake is a timer process of which each reply is written out.
type fake struct {
	t       *testing.T
	replies []string // "": the connection is closed without one; "…": silence
	asked   []string
	starts  int
	dialErr []error // of the first attempts
}

func (f *fake) client() *client {
	return &client{log: discard(), dial: f.dial, start: func(context.Context) error { f.starts++; return nil }}
}

func (f *fake) dial(context.Context) (net.Conn, error) {
	if len(f.dialErr) > 0 {
		err := f.dialErr[0]
		f.dialErr = f.dialErr[1:]
		if err != nil {
			return nil, err
		}
	}
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		l, err := bufio.NewReader(theirs).ReadString('\n')
		if err != nil {
			return
		}
		f.asked = append(f.asked, l)
		reply := replyOK + "\n"
		if len(f.replies) > 0 {
			reply, f.replies = f.replies[0], f.replies[1:]
		}
		if reply == "…" {
			io.Copy(io.Discard, theirs)
			return
		}
		io.WriteString(theirs, reply)
	}()
	return ours, nil
}

// TestClientTries is the table of what may happen to an order.
func TestClientTries(t *testing.T) {
	start := schedule.Start{Name: "t", After: 5 * time.Second, Origin: schedule.Origin{Type: "ONBATT", UPS: "a", Message: "m"}}
	shared := start
	shared.Shared = true
	cancel := schedule.Cancel{Name: "t", Origin: start.Origin}
	matched := cancel
	matched.Matched = true
	withElse := cancel
	withElse.Else = "x"
	gone := fmt.Errorf("dial: %w", syscall.ECONNREFUSED)
	busy := fmt.Errorf("dial: %w", syscall.EAGAIN)
	denied := fmt.Errorf("dial: %w", os.ErrPermission)
	const startLine = "START \"t\" \"5\" \"ONBATT\" \"a\" \"m\"\n"
	many := func(n int, err error) []error {
		errs := make([]error, n)
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	for _, c := range []struct {
		name    string
		event   schedule.Event
		dialErr []error
		replies []string
		asked   []string
		starts  int
		took    time.Duration
		err     string
	}{
		{name: "taken", event: start, asked: []string{startLine}},
		{name: "nobody there", event: start, dialErr: []error{gone}, asked: []string{startLine}, starts: 1},
		{name: "no socket", event: start, dialErr: []error{os.ErrNotExist}, asked: []string{startLine}, starts: 1},
		{name: "nothing to cancel", event: cancel, dialErr: []error{gone}},
		{name: "nothing to cancel but a command", event: withElse, dialErr: []error{gone}, starts: 1,
			asked: []string{"CANCEL \"t\" \"x\" \"ONBATT\" \"a\" \"m\"\n"}},
		{name: "too many clients are waiting", event: start, dialErr: []error{busy, busy}, asked: []string{startLine}, took: 2 * tryPause},
		{name: "a cancellation waits as well", event: cancel, dialErr: []error{busy}, took: tryPause,
			asked: []string{"CANCEL \"t\" \"\" \"ONBATT\" \"a\" \"m\"\n"}},
		{name: "it went away before it replied", event: start, replies: []string{""}, asked: []string{startLine, startLine}, took: tryPause},
		{name: "half a reply", event: start, replies: []string{"O"}, asked: []string{startLine, startLine}, took: tryPause},
		{name: "no reply: a second timer would be worse", event: start, replies: []string{"…"}, asked: []string{startLine}, took: replyWait,
			err: `hand START "t" "5" "ONBATT" "a" "m" to the timer process: no reply within 30s; it may be busy with a command`},
		{name: "an older process and a shared timer", event: shared, replies: []string{"ERR UNKNOWN\n"},
			asked: []string{"START-SHARED \"t\" \"5\" \"ONBATT\" \"a\" \"m\"\n", startLine}},
		{name: "an older process and a matched cancellation", event: matched, replies: []string{"ERR UNKNOWN\n"},
			asked: []string{"CANCEL-MATCHED \"t\" \"\" \"ONBATT\" \"a\" \"m\"\n", "CANCEL \"t\" \"\" \"ONBATT\" \"a\" \"m\"\n"}},
		{name: "unknown for good", event: start, replies: []string{"ERR UNKNOWN\n"}, asked: []string{startLine},
			err: `hand START "t" "5" "ONBATT" "a" "m" to the timer process: unknown request`},
		{name: "it never stays", event: start, dialErr: many(100, gone), starts: 3, took: 3 * tryPause,
			err: `hand START "t" "5" "ONBATT" "a" "m" to the timer process: dial: connection refused`},
		{name: "not allowed", event: cancel, dialErr: many(100, denied), took: 30 * tryPause,
			err: `hand CANCEL "t" "" "ONBATT" "a" "m" to the timer process: dial: permission denied`},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{t: t, replies: c.replies, dialErr: c.dialErr}
				began := time.Now()
				err := f.client().send(t.Context(), c.event)
				synctest.Wait()
				text := ""
				if err != nil {
					text = err.Error()
				}
				if text != c.err {
					t.Errorf("send = %q; want %q", text, c.err)
				}
				if took := time.Since(began); took != c.took {
					t.Errorf("send took %v; want %v", took, c.took)
				}
				if got, want := strings.Join(f.asked, ""), strings.Join(c.asked, ""); got != want || f.starts != c.starts {
					t.Errorf("asked %q after %d starts; want %q after %d", got, f.starts, want, c.starts)
				}
			})
		})
	}
}

// TestClientGivesUpWhenStartSaysWhy: the process that cannot start has said it all.
func TestClientGivesUpWhenStartSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{t: t, dialErr: []error{os.ErrNotExist, os.ErrNotExist}}
		c := f.client()
		c.start = func(context.Context) error { f.starts++; return program.Exit(1) }
		err := c.send(t.Context(), schedule.Start{Name: "t"})
		if exit := new(program.ExitError); !errors.As(err, &exit) || exit.Code != 1 || f.starts != 1 {
			t.Errorf("send = %v after %d starts; want the exit code 1 after 1", err, f.starts)
		}
	})
}

// TestClientEndsWithItsContext and not after 30 tries.
func TestClientEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		f := &fake{t: t}
		for range 100 {
			f.dialErr = append(f.dialErr, syscall.EAGAIN)
		}
		began := time.Now()
		err := f.client().send(ctx, schedule.Start{Name: "t"})
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Errorf("send = %v after %v; want the end of the context after 1s", err, took)
		}
	})
}

func TestListOfOthers(t *testing.T) {
	for reply, want := range map[string]string{
		"BEGIN LIST TIMERS\na\tb\nEND LIST TIMERS\nOK\n": "a\tb\n",
		"BEGIN LIST TIMERS\nEND LIST TIMERS\nOK\n":       "",
		"ERR UNKNOWN\n":             "list timers: the running timer process is of an older version that cannot do this",
		"BEGIN LIST TIMERS\na\tb\n": "a\tb\nlist timers: the list breaks off",
		"":                          "list timers: the list breaks off",
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{t: t, replies: []string{reply}}
			var out strings.Builder
			if err := f.client().list(t.Context(), &out); err != nil {
				out.WriteString(err.Error())
			}
			if out.String() != want {
				t.Errorf("list with the reply %q = %q; want %q", reply, out.String(), want)
			}
		})
	}
}
