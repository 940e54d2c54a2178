package daemon

import (
	"context"
	"fmt"
	"os"
	"os/signal"
)

// Signals are the orders that a daemon takes by signal. One that arrives while the
// same is still waiting is not counted.
type Signals struct {
	Reload <-chan os.Signal // HUP
	User1  <-chan os.Signal // USR1: FSD for upsmon, reload-or-exit for drivers
	User2  <-chan os.Signal // USR2
}

// A SignalError is the cause of a context that a signal ended.
type SignalError struct{ Signal os.Signal }

func (e *SignalError) Error() string { return fmt.Sprintf("stopped by signal: %s", e.Signal) }

// ListenSignals returns a context that TERM, INT or QUIT ends (its cause is then a
// *SignalError) and the channels of the other signals, and ignores PIPE. The caller
// must call stop at the end, which gives the signals back. Systems without a signal
// have a channel that never receives. Who listens will stay, so timers are relaxed;
// that wants the privileges which Become gives up.
func ListenSignals(ctx context.Context) (stopped context.Context, s *Signals, stop func()) {
	RelaxTimers()
	ctx, cancel := context.WithCancelCause(ctx)
	ends, orders := signalSet()
	end := make(chan os.Signal, 1)
	signal.Notify(end, ends...)
	ignorePipe()
	chans := make([]chan os.Signal, len(orders))
	for i, sig := range orders {
		chans[i] = make(chan os.Signal, 1)
		if sig != nil {
			signal.Notify(chans[i], sig)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case sig := <-end:
			cancel(&SignalError{sig})
		case <-ctx.Done():
		}
	}()
	return ctx, &Signals{Reload: chans[0], User1: chans[1], User2: chans[2]}, func() {
		signal.Stop(end)
		for _, c := range chans {
			signal.Stop(c)
		}
		cancel(context.Canceled)
		<-done
	}
}
