package nutupower

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/godbus/dbus/v5"

	"gonut/internal/transport/record"
)

// A bus is what the driver needs of D-Bus.
type bus interface {
	// call calls a method of UPower that returns one value. An error of the other
	// side wraps a *record.Failure whose class is the error's name.
	call(ctx context.Context, path dbus.ObjectPath, method string, args ...any) (dbus.Variant, error)
	// watch lets changed be called whenever properties of an object change, until
	// close.
	watch(ctx context.Context, path dbus.ObjectPath, changed func()) error
	connected() bool
	close() error
}

// connect returns the system's bus, recorded if so wanted, or a recording of it.
func connect(ctx context.Context, t *record.Tape) (bus, error) {
	if t.Playing() {
		return &playedBus{tape: t, end: make(chan struct{})}, nil
	}
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(context.WithoutCancel(ctx)))
	if err != nil {
		return nil, fmt.Errorf("connect to the system bus: %w", err)
	}
	return &systemBus{conn: conn, tape: t}, nil
}

// question is what a recording calls a method call.
func question(path dbus.ObjectPath, method string, args []any) string {
	words := []string{"call", string(path), method}
	for _, a := range args {
		words = append(words, fmt.Sprint(a))
	}
	return strings.Join(words, " ")
}

// keySignal is what a recording calls the news of a change.
const keySignal = "signal"

type systemBus struct {
	conn    *dbus.Conn
	tape    *record.Tape
	signals chan *dbus.Signal
	done    chan struct{} // closed when the signals have ended
}

func (b *systemBus) call(ctx context.Context, path dbus.ObjectPath, method string, args ...any) (dbus.Variant, error) {
	var v dbus.Variant
	_, err := b.tape.Ask(question(path, method, args), func() (string, error) {
		c := b.conn.Object(service, path).CallWithContext(ctx, method, 0, args...)
		if e, ok := errors.AsType[dbus.Error](c.Err); ok {
			return "", &record.Failure{Class: e.Name, Text: e.Error()}
		}
		if c.Err != nil {
			return "", c.Err
		}
		if len(c.Body) != 1 {
			return "", fmt.Errorf("%s returned %d values", method, len(c.Body))
		}
		v = variant(c.Body[0])
		return v.String(), nil
	})
	return v, err
}

// variant returns a value as a variant, which it may be already.
func variant(x any) dbus.Variant {
	if v, ok := x.(dbus.Variant); ok {
		return v
	}
	return dbus.MakeVariant(x)
}

func (b *systemBus) watch(ctx context.Context, path dbus.ObjectPath, changed func()) error {
	err := b.conn.AddMatchSignalContext(ctx, dbus.WithMatchObjectPath(path), dbus.WithMatchInterface(properties))
	if err != nil {
		return err
	}
	b.signals, b.done = make(chan *dbus.Signal, 16), make(chan struct{})
	b.conn.Signal(b.signals)
	go func() {
		defer close(b.done)
		for range b.signals { // closed with the connection
			b.tape.Pushed(keySignal, nil)
			changed()
		}
	}()
	return nil
}

func (b *systemBus) connected() bool { return b.conn.Connected() }

func (b *systemBus) close() error {
	err := b.conn.Close()
	if b.done != nil {
		<-b.done
	}
	return err
}

// A playedBus answers as a recording says.
type playedBus struct {
	tape *record.Tape
	end  chan struct{}
	done chan struct{}
}

func (b *playedBus) call(_ context.Context, path dbus.ObjectPath, method string, args ...any) (dbus.Variant, error) {
	text, err := b.tape.Ask(question(path, method, args), nil)
	if err != nil {
		return dbus.Variant{}, err
	}
	v, err := dbus.ParseVariant(text, dbus.Signature{})
	if err != nil {
		return v, fmt.Errorf("the recording's answer to %s is no value of D-Bus: %w", method, err)
	}
	return v, nil
}

func (b *playedBus) watch(_ context.Context, _ dbus.ObjectPath, changed func()) error {
	b.done = make(chan struct{})
	go func() {
		defer close(b.done)
		b.tape.Pushes(keySignal, b.end, func([]byte) { changed() })
	}()
	return nil
}

func (b *playedBus) connected() bool { return true }

func (b *playedBus) close() error {
	close(b.end)
	if b.done != nil {
		<-b.done
	}
	return nil
}
