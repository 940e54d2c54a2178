package drvsock

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/netproto"
	"gonut/internal/ups"
)

// driver returns a Dialer to a driver that answers each line as answers says; $ID
// stands for the tracking id of the line. A line without entry is not answered.
func driver(answers map[string]string) Dialer {
	return func(context.Context) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			lines := bufio.NewScanner(theirs)
			for lines.Scan() {
				line, id, _ := strings.Cut(lines.Text(), " TRACKING ")
				answer, ok := answers[line]
				if answer == "hang up" {
					return
				}
				if ok {
					theirs.Write([]byte(strings.ReplaceAll(answer, "$ID", id)))
				}
			}
		}()
		return ours, nil
	}
}

func connect(t *testing.T, answers map[string]string) (*Link, context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	t.Cleanup(cancel)
	l, err := Connect(ctx, driver(answers))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, ctx
}

func TestLinkAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, ctx := connect(t, map[string]string{
			"PING":                            "SETINFO a \"b\"\nPONG\n",
			"INSTCMD driver.exit":             "TRACKING other 3\nTRACKING $ID 0\n",
			"SET ups.delay.shutdown \"20\"":   "TRACKING $ID 2\n",
			"GETPID":                          "PID 4711\n",
			"DUMPSTATUS":                      "SETINFO ups.status \"OL CHRG\"\nDATAOK\nDUMPDONE\n",
			"DUMPALL":                         "SETINFO ups.mfr \"x\"\nADDCMD load.off\nDATAOK\nDUMPDONE\n",
			"INSTCMD beeper.enable \"a b\"":   "TRACKING $ID 1\n",
			"INSTCMD driver.reload-or-error":  "#broken \"\n",
			"INSTCMD driver.reload-or-error2": "",
		})
		if err := l.Ping(ctx); err != nil {
			t.Errorf("Ping = %v; want nil", err)
		}
		for _, c := range []struct {
			r    Request
			want netproto.Result
		}{
			{Request{Name: "driver.exit"}, netproto.Handled},
			{Request{Set: true, Name: "ups.delay.shutdown", Value: "20", HasValue: true}, netproto.Invalid},
			{Request{Name: "beeper.enable", Value: "a b", HasValue: true}, netproto.Unknown},
		} {
			if got, err := l.Do(ctx, c.r); got != c.want || err != nil {
				t.Errorf("Do(%v) = %v, %v; want %v", c.r, got, err, c.want)
			}
		}
		if pid, status, err := l.PIDAndStatus(ctx); pid != "4711" || status != "OL CHRG" || err != nil {
			t.Errorf("PIDAndStatus = %q, %q, %v; want 4711, OL CHRG", pid, status, err)
		}
		cs, err := l.Dump(ctx)
		if err != nil || len(cs) != 3 || cs[0].Name != "ups.mfr" || cs[1].Op != ups.AddCmd || cs[2].Op != ups.DataOK {
			t.Errorf("Dump = %v, %v; want three changes", cs, err)
		}
		if _, err := l.Do(ctx, Request{Name: "nobody.answers"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Do without answer = %v; want deadline exceeded", err)
		}
	})
}

// Drivers of 2.8.0 know neither GETPID nor DUMPSTATUS.
func TestLinkToAnOldDriver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, ctx := connect(t, map[string]string{
			"PING":    "PONG\n",
			"DUMPALL": "SETINFO ups.status \"OB\"\nDATAOK\nDUMPDONE\n",
		})
		if pid, status, err := l.PIDAndStatus(ctx); pid != "" || status != "OB" || err != nil {
			t.Errorf("PIDAndStatus = %q, %q, %v; want no number, OB", pid, status, err)
		}
	})
}

func TestLinkToADriverThatHangsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, ctx := connect(t, map[string]string{"PING": "hang up"})
		if err := l.Ping(ctx); !errors.Is(err, ErrClosed) {
			t.Errorf("Ping = %v; want ErrClosed", err)
		}
		l, ctx = connect(t, map[string]string{"INSTCMD driver.exit": "hang up"})
		if _, err := l.Do(ctx, Request{Name: "driver.exit"}); !errors.Is(err, ErrClosed) {
			t.Errorf("Do = %v; want ErrClosed", err)
		}
		if err := l.WaitClosed(ctx); err != nil {
			t.Errorf("WaitClosed = %v; want nil", err)
		}
		l, ctx = connect(t, nil)
		if err := l.WaitClosed(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("WaitClosed of a driver that stays = %v; want deadline exceeded", err)
		}
	})
}
