package driver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"gonut/internal/daemon"
)

// killTries is how often the device is tried when its power has to be cut.
const killTries = 3

// Kill opens the device and cuts the power of its load, without a State to keep
// and in bounded time. It is what "-k" does after no running driver could.
func (s *Session) Kill(ctx context.Context) error {
	if err := s.openTape(false); err != nil {
		return err
	}
	var err error
	for try := range killTries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Second):
			}
		}
		if err = s.killOnce(ctx); err == nil || errors.Is(err, ErrConfig) || errors.Is(err, ErrUnknown) {
			break
		}
		s.log.Warn("the power was not cut", "try", try+1, "error", err)
	}
	return err
}

// killOnce gives the calls of a device, all together, the time of one.
func (s *Session) killOnce(ctx context.Context) error {
	ended := make(chan *worker, 1)
	w := newWorker(s.log, ended)
	commands := s.config.shutdownCommands(&s.driver)
	values := s.values()
	c := w.begin(ctx, "killpower", s.driver.callLimit(), func(ctx context.Context) outcome {
		dev, err := s.driver.Open(ctx, values, s.log)
		if err != nil {
			return outcome{err: fmt.Errorf("open device: %w", err)}
		}
		w.dev = dev
		// Many devices learn here which of their ways to power off exists. If it
		// fails, the attempt is still worth making, and must have time left.
		part, cancel := half(ctx)
		defer cancel()
		if err := dev.Poll(part, Init, new(Update)); err != nil {
			s.log.Warn("poll device", "error", err)
		}
		return outcome{err: cutPower(ctx, dev, commands, s.log)}
	})
	w.retire()
	limit := time.NewTimer(time.Until(c.limit))
	defer limit.Stop()
	select {
	case o := <-c.done:
		select {
		case <-ended:
		case <-limit.C:
		}
		return o.err
	case <-limit.C:
		return fmt.Errorf("cut the power: the device hangs: %w", ErrFailed)
	}
}

// half returns a context with half of the time that is left in ctx.
func half(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/2)
}

// cutPower runs the commands until one of them succeeds. One that hangs leaves half of
// the time to those after it.
func cutPower(ctx context.Context, dev Device, commands []string, log *slog.Logger) error {
	var errs []error
	for i, name := range commands {
		part, cancel := ctx, context.CancelFunc(func() {})
		if i < len(commands)-1 {
			part, cancel = half(ctx)
		}
		err := dev.Command(part, name, "")
		cancel()
		if err == nil {
			log.Log(ctx, daemon.LevelCritical, "the power of the load is being cut", "command", name)
			return nil
		}
		log.Error("a command to cut the power failed", "command", name, "error", err)
		errs = append(errs, fmt.Errorf("%s: %w", name, err))
	}
	if slices.ContainsFunc(errs, func(err error) bool { return !errors.Is(err, ErrUnknown) }) {
		return errors.Join(errs...)
	}
	return fmt.Errorf("no command to cut the power is known to the device: %w", errors.Join(errs...))
}
