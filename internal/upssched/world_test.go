package upssched

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/conf"
	"gonut/internal/memnet"
	"gonut/internal/program"
	"gonut/internal/upssched/schedule"
)

// A world is a host in fake time: a network in memory, timer processes that are
// goroutines, and a script that writes down how it was called.
type world struct {
	t        *testing.T
	ctx      context.Context
	start    time.Time
	settings conf.SchedSettings
	net      memnet.Network
	log      lockedBuffer
	wg       sync.WaitGroup
	starts   atomic.Int32 // timer processes that were started
	serving  atomic.Int32 // timer processes that run now

	mu     sync.Mutex
	script func(schedule.Run) error // nil: done at once
	ran    []string
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// inWorld runs a test in a bubble and ends the timer processes with it.
func inWorld(t *testing.T, test func(w *world)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := &world{t: t, ctx: ctx, start: time.Now(), settings: conf.SchedSettings{
			CmdScript: []string{"script"}, PipeFN: filepath.Join(dir, "pipe"), LockFN: filepath.Join(dir, "lock"),
		}}
		test(w)
		cancel()
		w.wg.Wait()
		time.Sleep(2 * time.Hour) // for scripts that are still running
		if t.Failed() {
			t.Logf("log:\n%s", w.log.String())
		}
	})
}

func (w *world) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// keeper starts a timer process and returns when it listens.
func (w *world) keeper(ctx context.Context) error {
	w.starts.Add(1)
	ready := make(chan error, 1)
	w.wg.Go(func() {
		path := w.settings.PipeFN
		lock, err := waitLock(ctx, w.settings.LockFN)
		if err != nil {
			ready <- err
			return
		}
		l, err := listen(ctx, program.Env{Dial: w.net.Dial, Listen: w.net.Listen}, path)
		leave := leaving(path, w.settings.LockFN)
		lock.release()
		if err != nil {
			ready <- nil // another was quicker
			return
		}
		ready <- nil
		w.serving.Add(1)
		defer w.serving.Add(-1)
		newKeeper(w.logger(), w.run).serve(w.ctx, l, leave)
	})
	return <-ready
}

func (w *world) client() *client {
	return &client{
		log:   w.logger(),
		dial:  func(ctx context.Context) (net.Conn, error) { return w.net.Dial(ctx, "unix", w.settings.PipeFN) },
		start: w.keeper,
	}
}

// notify does what the AT lines say about one notification.
func (w *world) notify(config, notifyType, upsName string) {
	w.t.Helper()
	c, problems, err := conf.ParseUPSSched("upssched.conf", strings.NewReader("CMDSCRIPT s\nPIPEFN p\nLOCKFN l\n"+config))
	if err != nil || len(problems) > 0 {
		w.t.Fatalf("parse(%q): %v %v", config, problems, err)
	}
	for _, o := range schedule.Orders(c, schedule.Origin{Type: notifyType, UPS: upsName, Message: notifyType + " of " + upsName}) {
		if err := w.client().send(w.ctx, o.Event); err != nil {
			w.t.Errorf("send(%+v) = %v; want no error", o.Event, err)
		}
	}
}

// run is CMDSCRIPT.
func (w *world) run(r schedule.Run) error {
	w.mu.Lock()
	w.ran = append(w.ran, time.Since(w.start).String()+" "+r.Command+" "+schedule.UPSes(r.Origins))
	script := w.script
	w.mu.Unlock()
	if script == nil {
		return nil
	}
	return script(r)
}

// expect compares the calls of CMDSCRIPT so far. Those of one instant may come in any
// order; that of instants is in the texts.
func (w *world) expect(want ...string) {
	w.t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(slices.Sorted(slices.Values(w.ran)), slices.Sorted(slices.Values(want))) {
		w.t.Errorf("CMDSCRIPT ran: %s; want %s", strings.Join(w.ran, "; "), strings.Join(want, "; "))
	}
}

// list is upssched -l.
func (w *world) list() string {
	var out strings.Builder
	if err := w.client().list(w.ctx, &out); err != nil {
		return err.Error()
	}
	return out.String()
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func settingsOf(t *testing.T, config string) conf.SchedSettings {
	t.Helper()
	c, problems, err := conf.ParseUPSSched("upssched.conf", strings.NewReader(config))
	if err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	return c.SchedSettings
}
