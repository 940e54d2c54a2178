package hidups

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"gonut/internal/driver"
	"gonut/internal/subdriver"
	transport "gonut/internal/transport/hid"
	"gonut/internal/transport/record"
	"gonut/internal/ups"
)

// tryFor is how long a recording may take to be read once.
const tryFor = 30 * time.Second

// Try plays a recording to the driver with a table, and writes what upsc, upsrw and
// upscmd would show of it. The device need not be one that the table is for.
func Try(ctx context.Context, table *subdriver.Table, recording string, w io.Writer) error {
	f, err := os.Open(recording)
	if err != nil {
		return fmt.Errorf("try %s: %w", recording, errors.Unwrap(err))
	}
	defer f.Close()
	rec, err := record.ReadHID(recording, f)
	if err != nil {
		return err
	}
	match := table.MatchOf("usb", fmt.Sprintf("%04x:%04x", rec.Info.VendorID, rec.Info.ProductID), rec.Info.Manufacturer, rec.Info.Product)
	if match == nil {
		fmt.Fprintf(w, "No match line of the table is for %s, but here is what it would give:\n\n", rec.Info)
	}
	log := slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
	state, err := once(ctx, driver.Driver{
		Name: "usbhid-ups",
		Open: func(context.Context, driver.Values, *slog.Logger) (driver.Device, error) {
			d, err := New(transport.NewFake(rec), table, match, Options{PollOnly: true}, log)
			if err != nil {
				return nil, err
			}
			for _, in := range rec.Inputs {
				d.source.remember(in)
			}
			return d, nil
		},
	}, log)
	if err != nil {
		return fmt.Errorf("try %s: %w", recording, err)
	}
	return show(w, state)
}

// once runs a driver until it has read its device.
func once(ctx context.Context, d driver.Driver, log *slog.Logger) (*ups.State, error) {
	ctx, cancel := context.WithTimeout(ctx, tryFor)
	defer cancel()
	c := driver.NewConfig("try", "auto")
	c.OpenOnce = true
	s := driver.NewSession(d, c, driver.Hooks{}, log)
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	select {
	case <-s.Ready():
		cancel()
		return s.State(), <-done
	case err := <-done:
		return nil, errors.Join(err, ctx.Err())
	}
}

// show writes variables as upsc does, and then what may be set and done.
func show(w io.Writer, state *ups.State) error {
	var b strings.Builder
	var writable, commands []string
	snapshot := state.Snapshot()
	for _, v := range snapshot.Variables {
		if own := v.Name == "experimental.driver.corrected"; !own && (strings.HasPrefix(v.Name, "driver.") || strings.HasPrefix(v.Name, "experimental.driver.")) {
			continue
		}
		fmt.Fprintf(&b, "%s: %s\n", v.Name, v.Value)
		if v.Flags&ups.RW != 0 {
			writable = append(writable, v.Name)
		}
	}
	for _, c := range snapshot.Commands {
		if !strings.HasPrefix(c, "driver.") && c != driver.ShutdownDefault {
			commands = append(commands, c)
		}
	}
	slices.Sort(commands)
	fmt.Fprintf(&b, "\nmay be set: %s\ncommands: %s\n", orNone(writable), orNone(commands))
	_, err := io.WriteString(w, b.String())
	return err
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, " ")
}
