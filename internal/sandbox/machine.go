package sandbox

import (
	"context"
	"embed"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gonut/internal/conf"
	"gonut/internal/driver"
	"gonut/internal/host"
	"gonut/internal/upsmon"
	"gonut/internal/upsmon/monitor"
)

// The configuration files of the hosts, in a folder for each; @ADDR@, @PORT@ and
// @DIR@ stand for what is only known at the start.
//
//go:embed hosts
var hostFiles embed.FS

// A machine is one host of the sandbox. It can be down.
type machine struct {
	name, about string
	dir         string // of its configuration
	box         *sandbox

	mu   sync.Mutex
	stop context.CancelCauseFunc // nil while it is down
	done chan struct{}           // closed when it is down
}

// haltDelay is how long a host takes from SHUTDOWNCMD until it is down.
const haltDelay = time.Second

// writeFiles puts the configuration of a host into its folder.
func (m *machine) writeFiles(addr string) error {
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		return err
	}
	files, err := hostFiles.ReadDir("hosts/" + m.name)
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	for _, f := range files {
		text, err := hostFiles.ReadFile("hosts/" + m.name + "/" + f.Name())
		if err != nil {
			return err
		}
		filled := strings.NewReplacer("@ADDR@", host, "@PORT@", port, "@DIR@", m.dir).Replace(string(text))
		if err := os.WriteFile(filepath.Join(m.dir, f.Name()), []byte(filled), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// boot starts the host unless it is up.
func (m *machine) boot(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stop != nil {
		return nil
	}
	h, err := host.Load(conf.Paths{Conf: m.dir, State: m.dir}, []driver.Driver{m.box.driver}, func(string) string { return "" }, m.box.log.With("host", m.name))
	if err != nil {
		return fmt.Errorf("start host %s: %w", m.name, err)
	}
	h.Listen = m.box.listen
	h.Deps = upsmon.Deps{
		Dial:       m.box.env.Dial,
		Shutdowner: shutdowner{m, strings.Join(h.Monitor.ShutdownCmd, " "), h.Monitor.PowerDownFlag},
		Hook:       newWatcher(m).hook,
		Logger:     h.Log,
	}
	hctx, stop := context.WithCancelCause(ctx)
	done := make(chan struct{})
	ready := make(chan struct{})
	h.Ready = func([]net.Addr) { close(ready) }
	m.stop, m.done = stop, done
	failed := make(chan error, 1)
	go func() {
		defer close(done)
		err := h.Run(hctx)
		m.mu.Lock()
		m.stop = nil
		m.mu.Unlock()
		failed <- err
		if err != nil {
			m.box.line.printf(m.name, "stopped: %v", err)
		}
	}()
	select {
	case <-ready:
		return nil
	case err := <-failed:
		return fmt.Errorf("start host %s: %w", m.name, err)
	}
}

// up reports whether the host runs.
func (m *machine) up() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stop != nil
}

// halt takes the host down, as the end of its shutdown does.
func (m *machine) halt() {
	m.mu.Lock()
	stop := m.stop
	m.mu.Unlock()
	if stop != nil {
		stop(upsmon.ErrAbandon)
	}
}

// wait returns when the host is down.
func (m *machine) wait() {
	m.mu.Lock()
	done := m.done
	m.mu.Unlock()
	if done != nil {
		<-done
	}
}

// A shutdowner says what a host would do to shut itself down.
type shutdowner struct {
	machine       *machine
	command, flag string
}

func (s shutdowner) Shutdown(_ context.Context, powerDown bool) error {
	m := s.machine
	if powerDown && s.flag != "" {
		m.box.line.printf(m.name, "would write POWERDOWNFLAG %s", s.flag)
	}
	m.box.line.printf(m.name, "would run SHUTDOWNCMD: %s", s.command)
	m.box.later(haltDelay, func() {
		m.box.line.printf(m.name, "is down")
		m.halt()
		if powerDown && m.name == primaryName {
			m.box.cutPower()
		}
	})
	return nil
}

// A watcher tells the timeline what one upsmon sees and does. Its upsmon's loop is
// its only caller.
type watcher struct {
	machine *machine
	seen    map[string]string // by system: the status, or the error, that was told
	logins  map[string]int    // by system: the number that was told
}

func newWatcher(m *machine) *watcher {
	return &watcher{machine: m, seen: make(map[string]string), logins: make(map[string]int)}
}

func (w *watcher) hook(_ time.Time, ev monitor.Event, as []monitor.Action) {
	switch ev := ev.(type) {
	case monitor.Status:
		w.see(ev.UPS, "sees %s: %s", ev.Status)
	case monitor.Lost:
		w.see(ev.UPS, "cannot read %s: %s", ev.Err)
	case monitor.Logins:
		w.seeLogins(ev)
	}
	for _, a := range as {
		switch a := a.(type) {
		case monitor.Notify:
			w.tell("notifies %s: %s", a.Type, a.Text)
		case monitor.Decide:
			w.tell("decides to shut down: %s", a.Decision.Cause)
		case monitor.SetFSD:
			w.tell("sets FSD on %s", a.UPS)
		}
	}
}

// see tells what is seen of a system if it is news.
func (w *watcher) see(system, format, what string) {
	if w.seen[system] != what {
		w.seen[system] = what
		w.tell(format, system, what)
	}
}

// seeLogins tells how many hosts a primary waits for if it is news.
func (w *watcher) seeLogins(ev monitor.Logins) {
	if w.logins[ev.UPS] != ev.N {
		w.logins[ev.UPS] = ev.N
		w.tell("waits until only this host is logged in to %s; now there are %d", ev.UPS, ev.N)
	}
}

func (w *watcher) tell(format string, args ...any) {
	box := w.machine.box
	text := fmt.Sprintf(format, args...)
	box.line.printf(w.machine.name, "%s", strings.ReplaceAll(text, "@"+box.addr, ""))
}
