package upsmon

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gonut/internal/conf"
	"gonut/internal/upsmon/monitor"
	"gonut/internal/upssched"
)

// advise tells what is missing in a configuration that works all the same.
func (p *process) advise(c conf.UPSMon) {
	if len(c.ShutdownCmd) == 0 {
		hint := "!"
		if c.MinSupplies == 0 {
			hint = " (fine for a host that only watches)"
		}
		fmt.Fprintln(p.env.Stdout, "Warning: no shutdown command defined"+hint)
	}
	if len(c.NotifyCmd) == 0 {
		hint := " (fine if syslog and terminals are enough)"
		for _, f := range c.NotifyFlag {
			if f&conf.NotifyExec != 0 {
				hint = ", but NOTIFYFLAG asks for it!"
			}
		}
		fmt.Fprintln(p.env.Stdout, "Warning: no notification command defined"+hint)
	}
	log := p.log.Logger()
	if err := findShutdownProgram(c.ShutdownCmd); err != nil {
		log.Error("SHUTDOWNCMD would fail, and this host stay up until the power is gone", "err", err)
	}
	if monitor.Guards(c) {
		if c.PowerDownFlag == "" {
			p.adviseFlag(c)
		} else if err := checkFlagFolder(c.PowerDownFlag); err != nil {
			log.Error("POWERDOWNFLAG is of no use, and the UPS may stay on after a shutdown", "err", err)
		}
	}
	p.adviseTimers(c)
}

// findShutdownProgram looks for the program of SHUTDOWNCMD. Only a plain absolute path
// in front can be judged: all else is the shell's business.
func findShutdownProgram(command []string) error {
	words := strings.Fields(shellCommand(command))
	if len(words) == 0 || !filepath.IsAbs(words[0]) || strings.ContainsAny(words[0], "\"'`$\\;&|<>()*?[]{}~") {
		return nil
	}
	_, err := exec.LookPath(words[0])
	return err
}

// checkFlagFolder makes sure that the flag can be where upsmon and the late hook of the
// shutdown both look for it.
func checkFlagFolder(flag string) error {
	if !filepath.IsAbs(flag) {
		return fmt.Errorf("%s is no absolute path", flag)
	}
	fi, err := os.Stat(filepath.Dir(flag))
	if err == nil && !fi.IsDir() {
		err = fmt.Errorf("%s is no folder", filepath.Dir(flag))
	}
	return err
}

func (p *process) adviseFlag(c conf.UPSMon) {
	for _, m := range c.Monitors {
		if m.Primary && m.PowerValue > 0 {
			p.log.Logger().Warn("POWERDOWNFLAG is not set: the UPS is not switched off after a shutdown, so this host may stay off when mains returns early")
			return
		}
	}
	p.log.Logger().Info("POWERDOWNFLAG is not set; that is fine, since this host is the primary of no UPS that feeds it")
}

// adviseTimers tells what is wrong with the timers of upssched, if that is what
// notifications run: a timer that nothing cancels shuts down after the power is back.
func (p *process) adviseTimers(c conf.UPSMon) {
	if len(c.NotifyCmd) == 0 || filepath.Base(c.NotifyCmd[0]) != "upssched" {
		return
	}
	problems, err := upssched.Check(filepath.Join(filepath.Dir(p.file), "upssched.conf"), c)
	for _, pr := range problems {
		p.log.Logger().Warn(pr.String())
	}
	if err != nil {
		p.log.Logger().Error("NOTIFYCMD is upssched, which will fail", "err", err)
	}
}
