package upsdrvctl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"gonut/internal/daemon"
)

// What the table says where there is no process number.
const (
	pidFileMissing    = -3
	pidFileUnreadable = -2
)

// A row is what the table shows of one driver.
type row struct {
	ups, driver string
	pid         int  // by the PID file
	verified    bool // that process lives and is the driver
	responsive  bool // it answers on its socket
	said        string
	saidOther   bool // the process that it says it is is another program
	status      string
	known       bool // ups.status is known
}

const rowFormat = "%-11s\t%11s\t%s\t%s\t%s\t%s\t%s\n"

// header is the first line of the table.
func header() string {
	return fmt.Sprintf(rowFormat, "UPSNAME", "UPSDRV", "RUNNING", "PF_PID", "S_RESPONSIVE", "S_PID", "S_STATUS")
}

func (r row) String() string {
	running, responsive, said, status := "N/A", "NOT_RESPONSIVE", "N/A", ""
	switch {
	case r.verified:
		running = "RUNNING"
	case r.saidOther:
		running = "STOPPED"
	case r.said != "":
		running = "RUNNING"
	}
	if r.responsive {
		responsive = "RESPONSIVE"
	}
	if r.said != "" {
		said = r.said
	}
	if r.known {
		status = `"` + r.status + `"`
	}
	return fmt.Sprintf(rowFormat, r.ups, r.driver, running, strconv.Itoa(r.pid), responsive, said, status)
}

// status prints the table. It is no error that drivers are down.
func (c *controller) status(ctx context.Context) error {
	fmt.Fprint(c.env.Stdout, header())
	for _, u := range c.units {
		fmt.Fprint(c.env.Stdout, c.row(ctx, u))
	}
	return nil
}

func (c *controller) row(ctx context.Context, u unit) row {
	r := row{ups: u.ups, driver: u.driver}
	var err error
	for _, path := range u.pidFiles {
		if r.pid, err = daemon.ReadPID(path); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.pid = pidFileMissing
	case err != nil:
		r.pid = pidFileUnreadable
	default:
		r.verified = c.isDriver(r.pid, u)
	}
	l, err := c.connect(ctx, u)
	if err != nil {
		return r
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	r.said, r.status, err = l.PIDAndStatus(ctx)
	r.responsive = err == nil
	r.known = r.status != ""
	if pid, err := strconv.Atoi(r.said); err == nil && !r.verified {
		r.saidOther = !c.isDriver(pid, u)
	}
	return r
}

// isDriver reports whether the process lives and is the unit's driver, as far as
// the system tells.
func (c *controller) isDriver(pid int, u unit) bool {
	err := daemon.SignalPID(pid, 0, []string{u.driver}, c.env.Getenv)
	if errors.Is(err, fs.ErrPermission) { // it lives, but is not ours to signal
		err = daemon.CheckProcess(pid, u.driver)
	}
	return err == nil
}
