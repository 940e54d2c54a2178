package upsmon

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"gonut/internal/conf"
	"gonut/internal/daemon"
	"gonut/internal/program"
)

// options are what the command line asks for.
type options struct {
	debug      int
	foreground bool
	background bool
	command    string // of -c: fsd, stop, reload or status
	pid        string
	pidGiven   bool
	config     string
	checkFlag  bool // -K
	onePiece   bool // -p
	user       string
	network    string // tcp, tcp4 or tcp6
	timeout    time.Duration
	warnings   []string
}

// errUsage asks for the help text, which ends with exit code 0 as in C.
var errUsage = errors.New("usage")

func parseOptions(e program.Env) (options, error) {
	o := options{network: "tcp"}
	if v := e.Getenv("NUT_DEFAULT_CONNECT_TIMEOUT"); v != "" {
		o.setTimeout("NUT_DEFAULT_CONNECT_TIMEOUT", v)
	}
	opts, _, err := program.Getopt(e.Args[1:], "DFBhic:P:f:pu:VK46W:")
	for _, opt := range opts {
		switch opt.Letter {
		case 'D':
			o.debug++
		case 'F':
			o.foreground, o.background = true, false
		case 'B':
			o.foreground, o.background = false, true
		case 'c':
			if o.command = commandFor(opt.Arg); o.command == "" {
				return o, errUsage
			}
		case 'P':
			if n, err := strconv.Atoi(opt.Arg); err != nil || n < 0 {
				return o, errUsage
			}
			o.pid, o.pidGiven = opt.Arg, true
		case 'f':
			o.config = opt.Arg
		case 'K':
			o.checkFlag = true
		case 'p':
			o.onePiece = true
		case 'u':
			o.user = opt.Arg
		case '4', '6':
			o.network = "tcp" + string(opt.Letter)
		case 'W':
			o.setTimeout("-W", opt.Arg)
		case 'V':
			daemonBanner(e)
			return o, program.Exit(0)
		default:
			return o, errUsage
		}
	}
	if err != nil {
		fmt.Fprintf(e.Stderr, "%s: %v\n", e.Args[0], err)
		return o, errUsage
	}
	return o, nil
}

func daemonBanner(e program.Env) { fmt.Fprintln(e.Stdout, daemon.BannerLine("upsmon")) }

// setTimeout reads a connect timeout in seconds; 0 means no limit. A bad one leaves
// things as they are.
func (o *options) setTimeout(from, text string) {
	s, err := strconv.ParseFloat(text, 64)
	if err != nil || !(s >= 0 && s < math.MaxInt32) {
		o.warnings = append(o.warnings, fmt.Sprintf("%s: %q is no number of seconds and is ignored", from, text))
		return
	}
	o.timeout = time.Duration(s * float64(time.Second))
	if s == 0 {
		o.timeout = -1
	}
}

// commandFor returns the command that -c means: any beginning of its name will do,
// the first in this order wins.
func commandFor(text string) string {
	if text == "" {
		return ""
	}
	for _, c := range [...]string{"fsd", "stop", "reload", "status"} {
		if strings.HasPrefix(c, text) {
			return c
		}
	}
	return ""
}

func (o options) inForeground() bool { return o.foreground || o.debug > 0 && !o.background }

func (p *process) usage() {
	w := p.env.Stdout
	daemonBanner(p.env)
	fmt.Fprintf(w, `
usage: %s [OPTIONS]
  -c COMMAND  tell the running upsmon:
                fsd     shut down everything that our UPSes feed
                reload  read the configuration again
                stop    end
                status  show what it knows, and what would happen now
  -P PID      the process that -c means, instead of the one in the PID file
  -D          say more about the work, and stay in the foreground; may be repeated
  -F          stay in the foreground
  -B          go to the background, even with -D
  -K          exit with 0 if the power-down flag is set, else with 1
  -p          stay one privileged process
  -u USER     become this user, unless RUN_AS_USER names another
  -f FILE     read this configuration
  -4, -6      use this version of IP only
  -W SECS     how long connecting may take, 0: as long as it takes
  -V          print the version
  -h          print this text

`, p.env.Args[0])
	if c, _, err := conf.ReadFile(p.file, conf.ParseUPSMon); err == nil && c.PowerDownFlag != "" {
		fmt.Fprintf(w, "The power-down flag is %s.\n", c.PowerDownFlag)
	} else {
		io.WriteString(w, "No power-down flag is configured.\n")
	}
}
