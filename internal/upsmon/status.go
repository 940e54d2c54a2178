package upsmon

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"gonut/internal/conf"
	"gonut/internal/program"
)

const (
	// statusWait bounds both sides of a conversation on the status socket.
	statusWait = 5 * time.Second
	// acceptPause is how long to wait when no connection can be taken.
	acceptPause = 100 * time.Millisecond
)

// statusPath is the socket on which a running upsmon tells what it knows. It takes
// no orders.
func statusPath(p conf.Paths) string { return filepath.Join(p.State, "upsmon.status") }

// ServeStatus answers upsmon -c status until ctx ends. That nobody can ask is no
// reason not to run.
func ServeStatus(ctx context.Context, e program.Env, p conf.Paths, d *Daemon, log *slog.Logger) {
	path := statusPath(p)
	l, err := listenStatus(ctx, e, path)
	if err != nil {
		log.Info("upsmon -c status will find nobody to ask", "socket", path, "err", err)
		return
	}
	defer context.AfterFunc(ctx, func() { l.Close() })()
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			answerStatus(c, d)
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return
		default: // no descriptors are left
			time.Sleep(acceptPause)
		}
	}
}

// listenStatus opens the socket. One that nobody listens on any more is replaced.
func listenStatus(ctx context.Context, e program.Env, path string) (net.Listener, error) {
	l, err := e.Listen(ctx, "unix", path)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	if c, dialErr := e.Dial(ctx, "unix", path); dialErr == nil {
		c.Close()
		return nil, err
	}
	if err := os.Remove(path); err != nil {
		return nil, err
	}
	return e.Listen(ctx, "unix", path)
}

func answerStatus(c net.Conn, d *Daemon) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(statusWait))
	if r, ok := d.Report(); ok {
		json.NewEncoder(c).Encode(r)
	}
}

// status does -c status. The exit code is 1 if nobody answers and 3 if this host is
// not protected as it should be.
func (p *process) status(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, statusWait)
	defer cancel()
	path := statusPath(p.paths)
	c, err := p.env.Dial(ctx, "unix", path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return program.Exitf(1, "ask upsmon: %w; only root and the user that upsmon runs as may ask", err)
	case err != nil:
		return program.Exitf(1, "ask upsmon: %w; is it running?", err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(statusWait))
	var r Report
	if err := json.NewDecoder(c).Decode(&r); err != nil {
		return program.Exitf(1, "ask upsmon on %s: %w", path, err)
	}
	r.Print(p.env.Stdout)
	if !r.Protected() {
		return program.Exit(3)
	}
	return nil
}
