// Package daemon is what a program needs to live in the background of an operating
// system: its log, its PID file, detaching from the terminal, giving up root,
// signals and the service manager. It knows nothing of devices or protocols, and it
// never exits the process.
//
// A daemon's Run usually goes like this:
//
//	log := daemon.NewLog("upsd", e)              // standard error, C's line shape
//	log.SetVerbosity(number of -D)               // or daemon.DebugLevel(e.Getenv)
//	daemon.Banner(e, "upsd")
//	var bg *daemon.Background                    // nil: foreground; its methods then do nothing
//	if background {
//		if bg, err = daemon.Detach(ctx, e); bg == nil {
//			return err                           // the user's process: its work is done
//		}
//	}
//	ctx, signals, stop := daemon.ListenSignals(ctx)
//	defer stop()
//	… initialise, log.Logger() in hand …
//	pidFile, err := daemon.WritePID(path)
//	account.Become()
//	bg.Ready(log)                                // the user's process may exit now
//	notify := daemon.NewServiceNotifier(e.Getenv)
//	notify.Ready("")
//	… serve until ctx ends …
package daemon

import (
	"fmt"
	"strconv"
	"strings"

	"gonut/internal/program"
)

// DebugLevel returns the number of -D that NUT_DEBUG_LEVEL stands for when the
// command line has none. What is not a positive number counts as 0.
func DebugLevel(getenv func(string) string) int {
	n, err := strconv.Atoi(strings.TrimSpace(getenv("NUT_DEBUG_LEVEL")))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// BannerLine returns the line by which programs introduce themselves.
func BannerLine(prog string) string {
	return "Network UPS Tools " + prog + " " + program.Version()
}

// Banner writes the banner line to standard output, unless
// NUT_QUIET_INIT_BANNER asks for silence: any value but false, no, off and 0 does.
func Banner(e program.Env, prog string) {
	if !QuietBanner(e.Getenv) {
		fmt.Fprintln(e.Stdout, BannerLine(prog))
	}
}

// QuietBanner reports whether NUT_QUIET_INIT_BANNER asks for silence, for programs
// whose banner has a shape of its own.
func QuietBanner(getenv func(string) string) bool {
	switch strings.ToLower(getenv("NUT_QUIET_INIT_BANNER")) {
	case "", "false", "no", "off", "0":
		return false
	}
	return true
}

// truthy reports whether v is one of the words that NUT's switches in the
// environment take for yes.
func truthy(v string) bool {
	switch strings.ToLower(v) {
	case "true", "yes", "on", "1":
		return true
	}
	return false
}
