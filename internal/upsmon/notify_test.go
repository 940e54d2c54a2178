package upsmon

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/conf"
)

// A Notifier that never comes back holds up neither the loop nor other UPSes.
func TestSlowNotifier(t *testing.T) {
	inWorld(t, func(w *world) {
		u, v := newDriver("ups", "OL"), newDriver("v", "OL")
		w.serve("server", u, v)
		n := &stuckNotifier{stuck: "ups@server", release: make(chan struct{})}
		h := w.startWith("host", "MONITOR ups@server 1 mon pw primary\nMONITOR v@server 1 mon pw primary\n", Deps{Notifiers: []Notifier{n}})
		for range 10 {
			u.status("OB")
			v.status("OB")
			time.Sleep(10 * time.Second)
			u.status("OL")
			v.status("OL")
			time.Sleep(10 * time.Second)
		}
		h.wantUp()
		if got := n.count("v@server"); got != 20 {
			t.Errorf("notifications of v = %d; want 20", got)
		}
		close(n.release)
		h.d.Stop()
		<-h.finished
		synctest.Wait()
		if got := n.count("ups@server"); got != 20 {
			t.Errorf("notifications of ups = %d; want 20", got)
		}
	})
}

// The notifications of an outage come in order, SHUTDOWN last although it is about no
// UPS. Commands that take for ever delay each by a little.
func TestNotificationsKeepTheirOrder(t *testing.T) {
	for _, tt := range []struct{ takes, most time.Duration }{
		{0, 0},
		{300 * time.Millisecond, 900 * time.Millisecond},
		{time.Hour, 2*noticeWait + noticeOrder},
	} {
		inWorld(t, func(w *world) {
			u := newDriver("ups", "OL")
			w.serve("server", u)
			n := &slowNotifier{takes: tt.takes}
			config := primary + "FINALDELAY 30\n"
			for _, kind := range []string{"ONBATT", "LOWBATT", "FSD", "SHUTDOWN"} {
				config += "NOTIFYFLAG " + kind + " EXEC\n"
			}
			h := w.startWith("host", config, Deps{Notifiers: []Notifier{n}})
			time.Sleep(time.Second)
			begin := time.Now()
			u.status("OB LB")
			<-h.finished
			time.Sleep(2 * time.Hour)
			n.mu.Lock()
			defer n.mu.Unlock()
			got := strings.Join(n.began, " ")
			if want := "ONBATT LOWBATT FSD SHUTDOWN"; got != want && tt.takes < time.Hour {
				t.Errorf("commands of %s: %s; want %s", tt.takes, got, want)
			}
			if last := n.at[len(n.at)-1].Sub(begin); len(n.at) != 4 || last > tt.most {
				t.Errorf("commands of %s: %s, the last after %s; want four within %s", tt.takes, got, last, tt.most)
			}
		})
	}
}

// Who is told is what NOTIFYFLAG says; without it syslog and terminals are. IGNORE wins
// over everything. The end is written on every terminal whatever the flags.
func TestNotifyFlags(t *testing.T) {
	const end = "Executing automatic power-fail shutdown"
	for _, tt := range []struct {
		flags       string
		syslog      int
		walled, ran string
	}{
		{"", 1, "UPS ups@server on battery|" + end, ""},
		{"NOTIFYFLAG ONBATT SYSLOG+WALL+EXEC\n", 1, "UPS ups@server on battery|" + end, "ONBATT"},
		{"NOTIFYFLAG onbatt SYSLOG\n", 1, end, ""},
		{"NOTIFYFLAG ONBATT EXEC\n", 0, end, "ONBATT"},
		{"NOTIFYFLAG ONBATT IGNORE\n", 0, end, ""},
		{"NOTIFYFLAG ONBATT IGNORE+SYSLOG+WALL+EXEC\n", 0, end, ""},
		{"NOTIFYFLAG ONBATT EXEC\nNOTIFYFLAG ONBATT SYSLOG\n", 1, end, ""},
		{"NOTIFYFLAG ONBATT WALL\nNOTIFYMSG onbatt \"%s: oh 100% no\"\n", 0, "ups@server: oh 100% no|" + end, ""},
	} {
		inWorld(t, func(w *world) {
			u := newDriver("ups", "OL")
			w.serve("server", u)
			var log logBuffer
			walled, ran := &recorder{flag: conf.NotifyWall}, &recorder{flag: conf.NotifyExec}
			config := primary + "NOTIFYFLAG LOWBATT IGNORE\nNOTIFYFLAG FSD IGNORE\nNOTIFYFLAG SHUTDOWN IGNORE\n" + tt.flags
			h := w.startWith("host", config, Deps{Logger: log.logger(), Notifiers: []Notifier{walled, ran}})
			time.Sleep(time.Second)
			u.status("OB LB")
			<-h.finished
			synctest.Wait()
			if got := log.count("UPS ups@server on battery") + log.count("oh 100%"); got != tt.syslog {
				t.Errorf("%q: logged %d times; want %d", tt.flags, got, tt.syslog)
			}
			if got := walled.texts(); got != tt.walled {
				t.Errorf("%q: on terminals: %s; want %s", tt.flags, got, tt.walled)
			}
			if got := ran.types(); got != tt.ran {
				t.Errorf("%q: NOTIFYCMD for %s; want %s", tt.flags, got, tt.ran)
			}
		})
	}
}
