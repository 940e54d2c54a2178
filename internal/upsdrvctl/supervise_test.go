//go:build unix

package upsdrvctl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/program"
)

// A driver that has answered once and falls silent is hung; one that never answers
// may still be looking for its device.
func TestWatchFindsTheHung(t *testing.T) {
	for _, c := range []struct {
		name   string
		silent time.Duration // from when on PING is not answered; negative: never is
		refuse bool          // nobody listens at all
		limit  time.Duration // the driver ends by itself
		hung   bool
		after  time.Duration // within watchEvery + answerWait
	}{
		{"healthy", time.Hour, false, 10 * time.Minute, false, 10 * time.Minute},
		{"never heard of", 0, false, 10 * time.Minute, false, 10 * time.Minute},
		{"not there yet", 0, true, 10 * time.Minute, false, 10 * time.Minute},
		{"falls silent", 2 * time.Minute, false, time.Hour, true, 3 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var silent atomic.Bool
				silent.Store(c.silent == 0)
				if c.silent > 0 {
					time.AfterFunc(c.silent, func() { silent.Store(true) })
				}
				dial := func(context.Context, string, string) (net.Conn, error) {
					if c.refuse {
						return nil, errors.New("connection refused")
					}
					ours, theirs := net.Pipe()
					go func() {
						lines := bufio.NewScanner(theirs)
						for lines.Scan() {
							if lines.Text() == "PING" && !silent.Load() {
								fmt.Fprintln(theirs, "PONG")
							}
						}
					}()
					return ours, nil
				}
				k := &keeper{c: &controller{env: program.Env{Dial: dial}, log: slog.New(slog.DiscardHandler)}, u: unit{ups: "a"}}
				ch := &child{done: make(chan struct{})}
				end := time.AfterFunc(c.limit, func() { close(ch.done) })
				defer end.Stop()
				began := time.Now()
				hung := k.watch(t.Context(), ch)
				took := time.Since(began)
				if hung != c.hung || took < c.after-watchEvery || took > c.after+watchEvery+answerWait {
					t.Errorf("watch = %v after %v; want %v after about %v", hung, took, c.hung, c.after)
				}
			})
		})
	}
}

func TestWatchEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		k := &keeper{c: &controller{log: slog.New(slog.DiscardHandler)}}
		if k.watch(ctx, &child{done: make(chan struct{})}) {
			t.Error("watch = true at the end of its context; want false")
		}
	})
}

// A supervisor that can start nothing ends, and not with success.
func TestSuperviseNothing(t *testing.T) {
	r := newRig(t, "[a]\ndriver = "+fakeName+"\n[b]\nport = x\n").install()
	r.want(1, "", "start UPS b: "+filepath.Join(r.dir, "conf", "ups.conf")+":5: section [b] has no line driver = …", "-F", "start")
	r.wantCalls()
}
