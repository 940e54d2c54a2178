// Package host runs all that the configuration of one host names in one process:
// its drivers, upsd and upsmon, as goroutines that are joined in memory. They are
// the same functions as in the separate programs, joined by the same protocols.
//
// One process is less than several: all parts run as one user, and what exhausts
// the process hits all of them. A device that panics costs only its own session.
package host

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gonut/internal/conf"
	"gonut/internal/driver"
	"gonut/internal/drvsock"
	"gonut/internal/memnet"
	"gonut/internal/upsd"
	"gonut/internal/upsmon"
)

// A Unit is a driver and the device that it is for.
type Unit struct {
	Driver driver.Driver
	Config driver.Config
}

// A Host is what one host runs. Units need a Server. Fields must not be changed once
// Run was called.
type Host struct {
	Units   []Unit
	Server  *upsd.Config // nil: no upsd
	Family  upsd.Family  // of the addresses that upsd listens on
	Monitor *conf.UPSMon // nil: no upsmon
	Deps    upsmon.Deps  // of upsmon
	// Listen opens what upsd listens on.
	Listen upsd.ListenFunc
	// Sockets also opens the drivers' sockets in the state path, for programs
	// outside this process.
	Sockets bool
	// Report tells others what upsmon knows until ctx ends; it may be nil.
	Report func(ctx context.Context, d *upsmon.Daemon)
	// Ready is called when upsd listens, the drivers have spoken or had time to, and
	// upsmon starts; it may be nil.
	Ready func(listening []net.Addr)
	Log   *slog.Logger

	mu     sync.Mutex
	server *upsd.Server
	daemon *upsmon.Daemon
}

const (
	// restartDelay is the pause before a driver that ended is started again.
	restartDelay = 5 * time.Second
	// settleTime is how long upsmon's start waits for drivers, so that those which
	// only need a moment are not called lost.
	settleTime = 5 * time.Second
)

// Run runs everything until ctx ends and all parts have ended. It returns an error
// if one of them cannot start; then none goes on. That upsmon has shut the host
// down is no reason to end: drivers and upsd are needed until the very last.
func (h *Host) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	var inner memnet.Network
	opened := make(map[string]chan struct{}) // by path of the socket; closed when it is there
	for _, u := range h.Units {
		opened[h.socketPath(u)] = make(chan struct{})
	}
	var listening []net.Addr
	if h.Server != nil {
		front, err := h.openServer(ctx)
		if err != nil {
			return err
		}
		listening = front.Addrs()
		wg.Go(func() { front.Serve(ctx) })
		wg.Go(func() {
			h.server.MirrorAll(ctx, func(d upsd.Device) upsd.Dialer {
				return h.Server.Dialer(d, func(ctx context.Context, network, path string) (net.Conn, error) {
					select {
					case <-opened[path]:
						return inner.Dial(ctx, network, path)
					case <-ctx.Done():
						return nil, errors.New("the driver has not found its device yet")
					}
				})
			})
		})
	}
	for _, u := range h.Units {
		ready := sync.OnceFunc(func() { close(opened[h.socketPath(u)]) })
		wg.Go(func() { h.drive(ctx, u, &inner, ready) })
	}
	h.awaitDevices(ctx)
	if h.Monitor != nil {
		d := upsmon.New(*h.Monitor, h.Deps)
		h.mu.Lock()
		h.daemon = d
		h.mu.Unlock()
		wg.Go(func() {
			if err := d.Run(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("upsmon: %w", err))
			}
		})
		if h.Report != nil {
			wg.Go(func() { h.Report(ctx, d) })
		}
	}
	if h.Ready != nil {
		h.Ready(listening)
	}
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) && !errors.Is(err, upsmon.ErrAbandon) {
		return err
	}
	return nil
}

func (h *Host) openServer(ctx context.Context) (*upsd.Front, error) {
	s := upsd.New(h.Server.UPSD, h.Server.Users, h.Log)
	s.SetDevices(h.Server.Devices)
	s.SetDescriptions(h.Server.Texts)
	front, err := upsd.OpenFront(ctx, s, h.Server.UPSD, h.Family, h.Listen, h.Log)
	if err != nil {
		return nil, fmt.Errorf("upsd: %w", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.server = s
	return front, nil
}

// awaitDevices returns when the drivers have spoken or had time enough to.
func (h *Host) awaitDevices(ctx context.Context) {
	if h.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	h.server.AwaitDevices(ctx)
}

// Daemon is the upsmon that runs, nil if none does.
func (h *Host) Daemon() *upsmon.Daemon {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.daemon
}

// Reload makes the parts that can take a new configuration take it: upsd its users
// and settings (nil: it keeps them), upsmon all. Devices only change with a restart.
func (h *Host) Reload(server *upsd.Config) {
	h.mu.Lock()
	s, d := h.server, h.daemon
	h.mu.Unlock()
	if s != nil && server != nil {
		s.Reload(server.UPSD, server.Users)
		s.SetDescriptions(server.Texts)
	}
	if d != nil {
		d.Reload()
	}
}

// socketPath is the address of a driver's socket, in memory and in the state path.
func (h *Host) socketPath(u Unit) string {
	return drvsock.Path(h.Server.StatePath, u.Driver.Name, u.Config.Values.UPS)
}

// drive keeps one driver running. ready is called when its socket is open.
func (h *Host) drive(ctx context.Context, u Unit, inner *memnet.Network, ready func()) {
	log := h.Log.With("driver", u.Driver.Name, "ups", u.Config.Values.UPS)
	for ctx.Err() == nil {
		err := h.driveOnce(ctx, u, inner, ready, log)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, driver.ErrConfig):
			log.Error("driver stopped; mend ups.conf and start again", "error", err)
			return
		}
		log.Error("driver ended; starting it again", "error", err)
		select {
		case <-time.After(restartDelay):
		case <-ctx.Done():
		}
	}
}

// driveOnce runs a driver and its socket until the driver ends.
func (h *Host) driveOnce(ctx context.Context, u Unit, inner *memnet.Network, ready func(), log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	c := u.Config
	c.InStep = true
	c.Values.StatePath = h.Server.StatePath
	c.Values.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		// Drivers that attach to others of this process find them in memory.
		if network == "unix" {
			if conn, err := inner.Dial(ctx, network, addr); err == nil {
				return conn, nil
			}
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	}
	s := driver.NewSession(u.Driver, c, driver.Hooks{}, log)
	wg.Go(func() {
		select {
		case <-s.Ready():
			h.serve(ctx, s, h.socketPath(u), inner, ready, log)
		case <-ctx.Done():
		}
	})
	return s.Run(ctx)
}

// serve answers on the driver's socket, in memory and, if wanted, in the state
// path.
func (h *Host) serve(ctx context.Context, s *driver.Session, path string, inner *memnet.Network, ready func(), log *slog.Logger) {
	var wg sync.WaitGroup
	defer wg.Wait()
	open := func(listen func(context.Context) (net.Listener, error)) {
		l, err := listen(ctx)
		if err != nil {
			log.Error("driver socket cannot be opened", "error", err)
			return
		}
		wg.Go(func() {
			if err := s.Serve(ctx, l); err != nil {
				log.Error("driver socket is lost", "error", err)
			}
		})
	}
	open(func(ctx context.Context) (net.Listener, error) { return inner.Listen(ctx, "unix", path) })
	ready()
	if h.Sockets {
		open(func(ctx context.Context) (net.Listener, error) {
			if err := os.MkdirAll(filepath.Dir(path), 0o770); err != nil {
				return nil, err
			}
			return drvsock.Listen(ctx, path)
		})
	}
}
