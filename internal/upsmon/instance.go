package upsmon

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"syscall"

	"gonut/internal/daemon"
	"gonut/internal/program"
)

// refuseSecond ends a upsmon that is started beside a running one.
func (p *process) refuseSecond() error {
	pid, err := p.kill(0)
	if err != nil || pid == os.Getpid() {
		return nil
	}
	if p.opts.checkFlag {
		p.log.Logger().Info("another upsmon is running", "pid", pid)
		return nil
	}
	fmt.Fprintf(p.env.Stdout, "Fatal error: A previous upsmon instance is already running!\n"+
		"Either stop the previous instance first (process %d), or use the 'reload' command.\n", pid)
	return program.Exit(1)
}

func (p *process) kill(sig syscall.Signal) (pid int, err error) {
	names := []string{"upsmon"}
	if !p.opts.pidGiven {
		return daemon.SignalFile(daemon.RootPIDPaths(p.paths, "upsmon"), sig, names, p.env.Getenv)
	}
	pid, _ = strconv.Atoi(p.opts.pid)
	return pid, daemon.SignalPID(pid, sig, names, p.env.Getenv)
}

// signal does -c fsd, stop and reload.
func (p *process) signal() error {
	sig, ok := commandSignals()[p.opts.command]
	if !ok {
		return program.Exitf(1, "-c %s: this system has no signals; stop or restart the service", p.opts.command)
	}
	pid, err := p.kill(sig)
	if err != nil {
		return program.Exitf(1, "-c %s: %w; name the process with -P, or ask the service manager", p.opts.command, err)
	}
	p.log.Logger().Log(context.Background(), daemon.LevelNotice, "Exiting after sending a signal successfully", slog.Int("pid", pid), slog.String("command", p.opts.command))
	return nil
}
