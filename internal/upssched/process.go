package upssched

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"

	"gonut/internal/conf"
	"gonut/internal/daemon"
	"gonut/internal/program"
	"gonut/internal/words"
)

// keeperMark is set in the environment of a timer process: its debug level and then
// its settings, as words. They come from the client, so that both work with the same
// ones even if the file changes.
const keeperMark = "NUT_UPSSCHED_TIMERS"

// startKeeper starts a timer process and returns when it listens. It keeps the
// arguments of this process: some find the one of a heartbeat by its message.
func (p *process) startKeeper(ctx context.Context, s conf.SchedSettings) error {
	cmd, err := daemon.Self(p.env.Args...)
	if err != nil {
		return err
	}
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"UPSNAME", "NOTIFYTYPE", "NOTIFYMSG"}, name)
	})
	cmd.Env = append(cmd.Env, keeperMark+"="+encodeMark(p.log.Verbosity(), s))
	cmd.Stdout, cmd.Stderr = file(p.env.Stdout), file(p.env.Stderr)
	return spawn(ctx, cmd)
}

func encodeMark(verbosity int, s conf.SchedSettings) string {
	return words.Join(append([]string{strconv.Itoa(verbosity), s.PipeFN, s.LockFN}, s.CmdScript...)...)
}

func decodeMark(mark string) (verbosity int, s conf.SchedSettings, err error) {
	ws, err := words.Split(mark)
	if err != nil || len(ws) < 4 {
		return 0, s, program.Exitf(1, "upssched: %s is for its own use; remove it from the environment", keeperMark)
	}
	verbosity, err = strconv.Atoi(ws[0])
	return verbosity, conf.SchedSettings{PipeFN: ws[1], LockFN: ws[2], CmdScript: ws[3:]}, err
}

// keep is the life of a timer process.
func (p *process) keep(ctx context.Context, mark string) error {
	os.Unsetenv(keeperMark) // CMDSCRIPT may run upssched
	verbosity, s, err := decodeMark(mark)
	if err != nil {
		return err
	}
	p.log.SetVerbosity(verbosity)
	if verbosity > 0 {
		p.log.KeepStderr()
	}
	bg, err := background(ctx, p.env)
	if err != nil {
		return err
	}
	p.log.OpenSyslog()
	ctx, _, stop := daemon.ListenSignals(ctx)
	defer stop()
	err = p.serve(ctx, s, func() error { return bg.Ready(p.log) })
	switch {
	case errors.Is(err, errServed):
		return nil // another client was quicker
	case err != nil:
		p.log.Logger().Error("start timer process", "err", err)
		return program.Exit(1)
	}
	return nil
}

// serve keeps timers until there are none left. ready is called when it listens.
func (p *process) serve(ctx context.Context, s conf.SchedSettings, ready func() error) error {
	path := socketPath(s.PipeFN)
	lock, err := waitLock(ctx, s.LockFN)
	if err != nil {
		return err
	}
	l, err := listen(ctx, p.env, path)
	if err != nil {
		lock.release()
		return err
	}
	leave := leaving(path, s.LockFN)
	lock.release()
	log := p.log.Logger()
	daemon.NameProcess("upssched")
	if pidFile, err := daemon.WriteRootPID(p.paths, "upssched"); err != nil {
		log.Debug("no PID file", "err", err)
	} else {
		defer daemon.RemovePID(pidFile)
	}
	if err := ready(); err != nil {
		log.Warn("leave the terminal", "err", err)
	}
	log.Info("Timer daemon started")
	newKeeper(log, script{words: s.CmdScript}.run).serve(ctx, l, leave)
	return nil
}
