package upsmon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/godbus/dbus/v5"
)

// The names of systemd's login manager on the system bus.
const (
	logindName    = "org.freedesktop.login1"
	logindPath    = dbus.ObjectPath("/org/freedesktop/login1")
	logindManager = logindName + ".Manager"
	logindSignal  = "PrepareForSleep"
)

// logindRetry is the time between two attempts to reach a bus that was there.
const logindRetry = 30 * time.Second

// logind is the Sleeper of systems with systemd. connect reaches the bus.
type logind struct {
	connect func(ctx context.Context) (*dbus.Conn, error)
}

func systemSleep() Sleeper {
	return logind{func(ctx context.Context) (*dbus.Conn, error) { return dbus.ConnectSystemBus(dbus.WithContext(ctx)) }}
}

// Watch follows the login manager until ctx ends. An error means that there is
// none; when it goes away later, Watch waits for it to come back.
func (s logind) Watch(ctx context.Context, tell func(asleep bool)) error {
	err := s.follow(ctx, tell)
	for errors.Is(err, errBusGone) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(logindRetry):
		}
		if again := s.follow(ctx, tell); again == nil || errors.Is(again, errBusGone) {
			err = again
		}
	}
	return err
}

var errBusGone = errors.New("the system bus has gone")

// follow follows the login manager on one connection.
func (s logind) follow(ctx context.Context, tell func(asleep bool)) error {
	conn, err := s.connect(ctx)
	if err != nil {
		return fmt.Errorf("connect to the system bus: %w", err)
	}
	defer conn.Close()
	signals := make(chan *dbus.Signal, 16)
	conn.Signal(signals)
	if err := conn.AddMatchSignalContext(ctx, dbus.WithMatchInterface(logindManager), dbus.WithMatchMember(logindSignal)); err != nil {
		return fmt.Errorf("listen to the login manager: %w", err)
	}
	lock, err := inhibit(ctx, conn)
	if err != nil {
		return err
	}
	defer func() { lock.Close() }()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case sig, ok := <-signals:
			if !ok {
				return errBusGone
			}
			asleep, ok := prepares(sig)
			if !ok {
				continue
			}
			if asleep {
				tell(true)
				lock.Close() // the system may sleep now
				continue
			}
			if again, err := inhibit(ctx, conn); err == nil {
				lock.Close()
				lock = again
			}
			tell(false)
		}
	}
}

// inhibit asks the login manager to wait for us before the system sleeps, for as
// long as the file is open.
func inhibit(ctx context.Context, conn *dbus.Conn) (*os.File, error) {
	var fd dbus.UnixFD
	call := conn.Object(logindName, logindPath).CallWithContext(ctx, logindManager+".Inhibit", 0,
		"sleep", "upsmon", "Note that readings of UPSes will be old after the sleep", "delay")
	if err := call.Store(&fd); err != nil {
		return nil, fmt.Errorf("ask the login manager to tell of sleep: %w", err)
	}
	return os.NewFile(uintptr(fd), "inhibitor"), nil
}

// prepares reads the signal that the system goes to sleep or has woken up.
func prepares(sig *dbus.Signal) (asleep, ok bool) {
	if sig.Name != logindManager+"."+logindSignal || len(sig.Body) != 1 {
		return false, false
	}
	asleep, ok = sig.Body[0].(bool)
	return asleep, ok
}
