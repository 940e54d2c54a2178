package upsdrvctl

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"gonut/internal/daemon"
	"gonut/internal/program"
)

// How the supervisor treats drivers that end.
const (
	firstDelay = 500 * time.Millisecond // before the first new start
	mostDelay  = 30 * time.Second
	settled    = 5 * time.Second // a driver that ran so long counts as running
)

// A driver that has answered on its socket once and then does not for hungAfter is
// hung and replaced.
const (
	watchEvery = 10 * time.Second
	hungAfter  = time.Minute
)

// nextDelay returns how long to wait before a driver is started again that ran for
// a while, after the delay before: twice as long each time, unless it had settled.
func nextDelay(before, ran time.Duration) time.Duration {
	if before == 0 || ran >= settled {
		return firstDelay
	}
	return min(2*before, mostDelay)
}

// A keeper keeps one driver running. Its goroutine is keep.
type keeper struct {
	c        *controller
	u        unit
	throttle daemon.Throttle
	failing  bool // the last run ended before it had settled

	mu    sync.Mutex
	child *child // the running driver, nil if there is none
}

// supervise keeps the drivers of all units running until TERM, INT or QUIT.
func (c *controller) supervise(ctx context.Context) error {
	ctx, signals, stop := daemon.ListenSignals(ctx)
	defer stop()
	notify := daemon.NewServiceNotifier(c.env.Getenv)
	var ks []*keeper
	var wg sync.WaitGroup
	var end error
	for _, u := range c.units {
		if u.incomplete != "" {
			c.log.Error(fmt.Sprintf("start UPS %s: %s", u.ups, u.incomplete))
			end = program.Exit(1)
			continue
		}
		k := &keeper{c: c, u: u}
		ks = append(ks, k)
		wg.Go(func() { k.keep(ctx) })
	}
	all := make(chan struct{})
	go func() { wg.Wait(); close(all) }()
	notify.Ready(fmt.Sprintf("watching over %d drivers", len(ks)))
	for {
		select {
		case <-all:
			notify.Stopping("")
			if _, bySignal := errors.AsType[*daemon.SignalError](context.Cause(ctx)); bySignal {
				return nil
			}
			return errors.Join(ctx.Err(), end)
		case sig := <-signals.Reload:
			c.forward(ks, sig)
		case sig := <-signals.User1:
			c.forward(ks, sig)
		}
	}
}

func (c *controller) forward(ks []*keeper, sig os.Signal) {
	c.log.Info(fmt.Sprintf("passing signal to all drivers: %s", sig))
	for _, k := range ks {
		k.signal(sig)
	}
}

func (k *keeper) signal(sig os.Signal) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.child != nil {
		k.child.cmd.Process.Signal(sig)
	}
}

func (k *keeper) set(ch *child) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.child = ch
}

// keep runs the driver again and again until ctx ends or the driver was told to
// end.
func (k *keeper) keep(ctx context.Context) {
	var delay time.Duration
	for ctx.Err() == nil {
		began := time.Now()
		why, again := k.run(ctx)
		ran := time.Since(began)
		if ctx.Err() != nil {
			return
		}
		if !again {
			k.c.log.Info(fmt.Sprintf("UPS %s: driver ended: %s; it is not started again", k.u.ups, why))
			return
		}
		delay = nextDelay(delay, ran)
		k.failing = true
		if ok, held := k.throttle.Pass(time.Now(), why); ok {
			text := fmt.Sprintf("UPS %s: driver ended: %s; starting it again", k.u.ups, why)
			if held > 0 {
				text += fmt.Sprintf(" (so it was %d times more)", held)
			}
			k.c.log.Warn(text)
		}
		pause(ctx, delay)
	}
}

// run runs the driver once and says how it ended and whether it is to be started
// again.
func (k *keeper) run(ctx context.Context) (why string, again bool) {
	cmd, err := k.c.program(k.u, k.c.opt.driverArgs(k.u, false))
	if err != nil {
		return err.Error(), true // the file may come back, as during an upgrade
	}
	last := &lastLine{to: k.c.env.Stderr}
	cmd.Stderr = last
	// The service manager is told about us, not about each driver.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "NOTIFY_SOCKET=") || strings.HasPrefix(v, "WATCHDOG_")
	})
	k.c.debug(ctx, 2, "exec:  %s", commandLine(cmd))
	ch, err := startChild(cmd)
	if err != nil {
		return err.Error(), true
	}
	k.set(ch)
	defer k.set(nil)
	if hung := k.watch(ctx, ch); hung && !ch.ended() || ctx.Err() != nil {
		k.terminate(ctx, ch)
		if hung {
			return fmt.Sprintf("it did not answer for %v and was killed", hungAfter), true
		}
	}
	if !ch.ended() {
		return "it cannot be ended", true
	}
	return reason(ch.cmd.ProcessState, last.String()), ch.cmd.ProcessState.ExitCode() != 0
}

// watch waits until the driver ends, ctx ends or the driver is found to hang.
func (k *keeper) watch(ctx context.Context, ch *child) (hung bool) {
	settle := time.NewTimer(settled)
	defer settle.Stop()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	answers := make(chan bool, 1)
	asking := false
	var heard time.Time // zero: it has never answered
	for {
		select {
		case <-ch.done:
			return false
		case <-ctx.Done():
			return false
		case <-settle.C:
			if k.failing {
				k.failing = false
				k.throttle.Reset()
				k.c.log.Info(fmt.Sprintf("UPS %s: driver runs again", k.u.ups))
			}
		case <-tick.C:
			if !heard.IsZero() && time.Since(heard) >= hungAfter {
				return true
			}
			if !asking {
				asking = true
				go func() { answers <- k.c.alive(ctx, k.u) }()
			}
		case ok := <-answers:
			asking = false
			if ok {
				heard = time.Now()
			}
		}
	}
}

// alive reports whether the driver answers on its socket.
func (c *controller) alive(ctx context.Context, u unit) bool {
	l, err := c.connect(ctx, u)
	if err != nil {
		return false
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	return l.Ping(ctx) == nil
}

// terminate ends a driver and returns when it has ended, or when ctx has and it
// does not.
func (k *keeper) terminate(ctx context.Context, ch *child) {
	if err := ch.cmd.Process.Signal(syscall.SIGTERM); err == nil {
		if ended, _ := ch.wait(context.Background(), endWait); ended {
			return
		}
		k.c.log.Warn(fmt.Sprintf("UPS %s: the driver does not heed SIGTERM and is killed", k.u.ups))
	}
	ch.cmd.Process.Kill()
	// One that hangs in the kernel must not keep us from ending, but no second one
	// can take its device either.
	if ended, _ := ch.wait(ctx, 0); !ended {
		ch.wait(context.Background(), endWait)
	}
}
