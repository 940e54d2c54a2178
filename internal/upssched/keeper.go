package upssched

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"gonut/internal/upssched/schedule"
	"gonut/internal/words"
)

const (
	// maxClients is how many connections the timer process serves at a time.
	maxClients = 128
	// clientWait is how long a client may take for a request or to read the answer;
	// shorter than replyWait, so that a client behind silent ones is served.
	clientWait = 10 * time.Second
	// endWait is how long the end of the timer process waits for running commands.
	endWait = 2 * time.Second
)

// A keeper is the timer process: it keeps the schedule and takes orders for it.
type keeper struct {
	log      *slog.Logger
	runner   *runner
	exec     func(schedule.Run) error // runs a command and waits for its end
	requests chan request
	closed   chan struct{} // no more requests are taken
}

// A request is an order on its way to the schedule. A nil event asks for the list.
type request struct {
	event schedule.Event
	reply chan<- string
}

func newKeeper(log *slog.Logger, exec func(schedule.Run) error) *keeper {
	return &keeper{log: log, runner: newRunner(log), exec: exec, requests: make(chan request), closed: make(chan struct{})}
}

// serve takes orders from l until there have been no timers for a while or ctx ends.
// leave is called before l is closed.
func (k *keeper) serve(ctx context.Context, l net.Listener, leave func()) {
	var wg sync.WaitGroup
	wg.Go(func() { k.accept(l) })
	k.keep(ctx)
	close(k.closed)
	leave()
	l.Close()
	wg.Wait()
	k.runner.wait(endWait)
}

// keep owns the schedule.
func (k *keeper) keep(ctx context.Context) {
	s := schedule.New(time.Now())
	wake := time.NewTimer(schedule.Linger)
	defer wake.Stop()
	for {
		select {
		case r := <-k.requests:
			if r.event == nil {
				r.reply <- listing(time.Now(), s.Timers()) + replyOK + "\n"
				continue
			}
			quit := k.perform(s.Step(time.Now(), r.event))
			r.reply <- replyOK + "\n"
			if quit {
				return
			}
		case <-wake.C:
			if k.perform(s.Step(time.Now(), schedule.Tick{})) {
				return
			}
		case <-k.runner.ended:
			// Perhaps that was all there was to wait for.
			if k.perform(s.Step(time.Now(), schedule.Tick{})) {
				return
			}
		case <-ctx.Done():
			for _, t := range s.Timers() {
				k.log.Warn("timer lost: upssched is told to end", "timer", t.Name, "left", time.Until(t.Due).Round(time.Second))
			}
			return
		}
		d := time.Until(s.Deadline())
		if d <= 0 { // only the end of a command is left to wait for
			wake.Stop()
			continue
		}
		wake.Reset(d)
	}
}

// perform does what the schedule wants and reports whether that is to end. It does
// not as long as commands are running: their ends are still to be logged.
func (k *keeper) perform(as []schedule.Action) (quit bool) {
	for _, a := range as {
		switch a := a.(type) {
		case schedule.Run:
			if a.Timer {
				k.log.Info("Event: " + a.Command)
			}
			k.runner.run(a.Command, a, k.exec)
		case schedule.Started:
			k.log.Info("New timer: "+a.Name, "due", time.Until(a.Due).Round(time.Second), "ups", schedule.UPSes(a.Origins))
		case schedule.Joined:
			k.log.Info("Timer is running already: "+a.Name, "due", time.Until(a.Due).Round(time.Second), "ups", a.By.UPS)
		case schedule.Left:
			k.log.Info("Timer goes on for others: "+a.Name, "without", a.By.UPS, "ups", schedule.UPSes(a.Origins))
		case schedule.Cancelled:
			k.log.Info("Cancelling timer: " + a.Name)
		case schedule.Refused:
			k.log.Info("No timer: "+a.Name, "reason", a.Why)
		case schedule.Quit:
			quit = !k.runner.busy()
			if quit {
				k.log.Info("Timer queue empty, exiting")
			}
		}
	}
	return quit
}

// accept serves each client in a goroutine of its own. It returns when all are gone.
func (k *keeper) accept(l net.Listener) {
	var wg sync.WaitGroup
	defer wg.Wait()
	places := make(chan struct{}, maxClients)
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// No descriptors are left, or the client is gone. Others may fare better.
			k.log.Warn("accept a client", "err", err)
			select {
			case <-time.After(100 * time.Millisecond):
				continue
			case <-k.closed:
				return
			}
		}
		select {
		case places <- struct{}{}:
		case <-k.closed:
			c.Close()
			return
		}
		wg.Go(func() {
			k.talk(c)
			<-places
		})
	}
}

// talk serves one client. Once the schedule has come to its end there is no answer
// any more, so that the client starts another process.
func (k *keeper) talk(c net.Conn) {
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-k.closed:
		case <-done:
		}
		c.Close()
	}()
	for s := words.NewScanner(c); ; {
		c.SetDeadline(time.Now().Add(clientWait))
		if !s.Scan() {
			return
		}
		answer, ok := k.answer(s.Words(), s.Problem())
		if !ok {
			return
		}
		if _, err := c.Write([]byte(answer)); err != nil {
			return
		}
	}
}

// answer hands a request to the schedule. ok is false if that takes no more.
func (k *keeper) answer(ws []string, problem error) (text string, ok bool) {
	e, list, err := decode(ws)
	if problem != nil || err != nil {
		k.log.Info("Unknown request", "words", words.Join(ws...))
		return replyUnknown + "\n", true
	}
	if list {
		e = nil
	}
	reply := make(chan string, 1)
	select {
	case k.requests <- request{e, reply}:
		return <-reply, true
	case <-k.closed:
		return "", false
	}
}
