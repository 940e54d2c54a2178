package hidups

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gonut/internal/driver"
	"gonut/internal/subdriver"
)

// betweenTimers is what some devices need between the start and the off timer.
const betweenTimers = 125 * time.Millisecond

// ShutdownCommands are what cuts the power, in the order in which it is tried.
func ShutdownCommands() []string {
	return []string{"shutdown.return", "shutdown.reboot", "load.off.delay", "shutdown.stayoff"}
}

// addCommands makes the commands known that follow from those of the table.
func (d *Device) addCommands(u *driver.Update) {
	off, on := d.walker.HasCommand("load.off.delay"), d.walker.HasCommand("load.on.delay")
	if off {
		u.Command("load.off")
	}
	if on {
		u.Command("load.on")
	}
	if off && on {
		u.Command("shutdown.return", "shutdown.stayoff")
	}
}

// Command implements driver.Device. A command that the table has not is made of
// others, as far as they exist.
func (d *Device) Command(ctx context.Context, name, param string) error {
	if d.walker == nil {
		return fmt.Errorf("command %s: %w: the device was not read yet", name, driver.ErrFailed)
	}
	name = d.renamed(name)
	if d.walker.HasCommand(name) {
		return d.walker.Command(ctx, name, param)
	}
	switch name {
	case "load.off":
		return d.walker.Command(ctx, "load.off.delay", "0")
	case "load.on":
		return d.walker.Command(ctx, "load.on.delay", "0")
	case "shutdown.return":
		return d.cycle(ctx, "yes", d.delay("ups.delay.start"))
	case "shutdown.stayoff":
		return d.cycle(ctx, "no", "-1")
	case driver.ShutdownDefault:
		return d.shutdown(ctx)
	}
	return fmt.Errorf("command %s: %w", name, driver.ErrUnknown)
}

// renamed returns the present name of a command that has an old one. C's driver does
// not look at the rows that tables have for the old ones.
func (d *Device) renamed(name string) string {
	old := map[string]string{"beeper.off": "beeper.disable", "beeper.on": "beeper.enable"}
	if now := old[name]; now != "" && d.walker.HasCommand(now) {
		return now
	}
	return name
}

// cycle arms the start timer before the off timer: once the load is off, nobody may
// be left to arm anything.
func (d *Device) cycle(ctx context.Context, startAuto, onDelay string) error {
	if !d.walker.HasCommand("load.off.delay") || !d.walker.HasCommand("load.on.delay") {
		return fmt.Errorf("the device has no timers: %w", driver.ErrUnknown)
	}
	if _, ok := d.walker.Value("ups.start.auto"); ok {
		err := d.walker.Set(ctx, "ups.start.auto", startAuto)
		if err != nil && !errors.Is(err, driver.ErrUnknown) {
			return err
		}
	}
	if err := d.walker.Command(ctx, "load.on.delay", onDelay); err != nil {
		return err
	}
	t := time.NewTimer(betweenTimers)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return fmt.Errorf("wait between the timers: %w", ctx.Err())
	}
	return d.walker.Command(ctx, "load.off.delay", d.delay("ups.delay.shutdown"))
}

// delay is a setting, or empty for the command's own default.
func (d *Device) delay(setting string) string {
	text, _ := d.walker.Value(setting)
	return text
}

// shutdown tries the ways to cut the power until one works.
func (d *Device) shutdown(ctx context.Context) error {
	var errs []error
	for _, name := range ShutdownCommands() {
		err := d.Command(ctx, name, "")
		if err == nil {
			return nil
		}
		if !errors.Is(err, driver.ErrUnknown) {
			d.log.Error("a command to cut the power failed", "command", name, "error", err)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

var _ subdriver.Source = (*source)(nil)
var _ driver.Device = (*Device)(nil)
