// Package clients is the programs that ask upsd something for a person or a script:
// upsc, upscmd, upsrw and upslog, and sockdebug, which asks a driver. Each has a
// file of its own and prints what C NUT's program of that name prints; their output,
// messages and exit codes are what scripts depend on.
//
// They decide nothing about devices: the protocol is package upsclient's, and what
// a value means is its reader's business.
package clients

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"gonut/internal/conf"
	"gonut/internal/daemon"
	"gonut/internal/netproto"
	"gonut/internal/program"
	"gonut/upsclient"
)

// commonOptions are the option letters that all clients of upsd have.
const commonOptions = "DVhW:A:"

// commonHelp is what -h says of them.
const commonHelp = `
Connection:
  -A FILE    user, password and TLS rules are in FILE, which is nutauth.conf;
             "none" uses no such file, "default" insists on one being found
  -W SECS    seconds to wait for the connection, default 10; 0: no limit

Else:
  -D         say more about what happens; repeat for more
  -V         print the version
  -h         print this help
`

// A call is one run of a client program. Its Stdout is buffered: finish flushes it.
type call struct {
	program.Env
	name string
	buf  *bufio.Writer
	help string
	log  *slog.Logger
	out  *daemon.Log

	strict bool // an unknown option is an error

	debug   int
	authArg string
	waitArg string
	haveW   bool
	auth    conf.NUTAuth
}

func newCall(e program.Env, name, help string) *call {
	out := daemon.NewLog(name, e)
	buf := bufio.NewWriter(e.Stdout)
	e.Stdout = buf
	return &call{Env: e, name: name, buf: buf, help: help, out: out, log: out.Logger()}
}

// finish writes what is left of the output. Output that went nowhere, as on a full
// disk, is an error.
func (c *call) finish(err *error) {
	if werr := c.buf.Flush(); werr != nil && *err == nil {
		*err = program.Exitf(1, "Error: write output: %w", werr)
	}
}

// options handles the options that all clients have and hands the others to take.
// done means that the program has nothing more to do. C's clients end with success
// after an option that they do not know, and so do ours.
func (c *call) options(letters string, take func(program.Option) error) (operands []string, done bool, err error) {
	opts, operands, problem := program.Getopt(c.Args[1:], letters+commonOptions)
	for _, o := range opts {
		switch o.Letter {
		case 'D':
			c.debug++
		case 'V':
			fmt.Fprintln(c.Stdout, daemon.BannerLine(c.name))
			return nil, true, nil
		case 'h':
			c.printHelp()
			return nil, true, nil
		case 'W':
			c.waitArg, c.haveW = o.Arg, true
		case 'A':
			c.authArg = o.Arg
		default:
			if err := take(o); err != nil {
				return nil, true, err
			}
		}
	}
	if c.debug == 0 {
		c.debug = daemon.DebugLevel(c.Getenv)
	}
	c.out.SetVerbosity(c.debug)
	if problem != nil && c.strict {
		return nil, true, program.Exitf(1, "%s: %v", c.name, problem)
	}
	if problem != nil {
		fmt.Fprintf(c.Stderr, "%s: %v\n", c.name, problem)
		c.printHelp()
		return nil, true, nil
	}
	return operands, false, nil
}

func (c *call) printHelp() {
	fmt.Fprintf(c.Stdout, "%s\n\n%s%s", daemon.BannerLine(c.name), c.help, commonHelp)
}

// warn prints a message that does not end the program.
func (c *call) warn(format string, args ...any) {
	fmt.Fprintf(c.Stderr, format+"\n", args...)
}

// system reads upsname[@host[:port]].
func (c *call) system(operands []string, separator string) (netproto.System, error) {
	text := ""
	if len(operands) > 0 {
		text = operands[0]
	}
	s, err := netproto.ParseSystem(text)
	if err != nil {
		if len(operands) > 0 {
			c.warn("%s: %v", c.name, err)
		}
		return s, program.Exitf(1, "Error: invalid UPS definition.%sRequired format: upsname[@hostname[:port]]", separator)
	}
	return s, nil
}

// connect opens the connection to an upsd.
func (c *call) connect(ctx context.Context, h netproto.Host) (*upsclient.Client, error) {
	o, err := c.dialOptions(h)
	if err != nil {
		return nil, err
	}
	client, err := upsclient.Dial(ctx, h.Addr(), o)
	if err != nil {
		return nil, err
	}
	c.log.Debug("connected", "server", h.Addr(), "tls", client.Secure(), "verified", client.Secure() && o.TLS.Verify)
	return client, nil
}

// dialOptions combines options, environment and nutauth.conf.
func (c *call) dialOptions(h netproto.Host) (upsclient.Options, error) {
	a := c.auth.Lookup("", h.Name, h.Port)
	tls, err := upsclient.TLSFiles{
		CAPath: a.CertPath, CertFile: a.CertFile, Ident: a.CertIdentName, Password: string(a.CertIdentPass),
		Verify: a.CertVerify == conf.On, Name: a.CertHost,
	}.Load()
	if err != nil {
		return upsclient.Options{}, program.Exitf(1, "Error: prepare TLS: %v", err)
	}
	o := upsclient.Options{ConnectTimeout: c.connectTimeout(), TLS: tls, Dial: c.Dial}
	switch a.ForceSSL {
	case conf.Off:
		o.Security = upsclient.NoTLS
	case conf.On:
		o.Security = upsclient.RequireTLS
	}
	return o, nil
}

// connectTimeout is -W, else NUT_DEFAULT_CONNECT_TIMEOUT, else the library's own.
// A value that is no time is complained about and passed over.
func (c *call) connectTimeout() time.Duration {
	type source struct{ name, value string }
	var sources []source
	if c.haveW {
		sources = append(sources, source{"-W", c.waitArg})
	}
	const env = "NUT_DEFAULT_CONNECT_TIMEOUT"
	if v := c.Getenv(env); v != "" {
		sources = append(sources, source{env, v})
	}
	for _, s := range sources {
		seconds, err := strconv.ParseFloat(strings.TrimSpace(s.value), 64)
		switch {
		case err != nil || !(seconds >= 0 && seconds < 1e9):
			c.warn("%s: %s %q is no number of seconds and is ignored", c.name, s.name, s.value)
		case seconds == 0:
			return -1
		default:
			return max(time.Duration(seconds*float64(time.Second)), 1)
		}
	}
	return 0
}

// readAuth reads the nutauth.conf that -A or the environment chooses. One that
// nobody asked for may be missing, or closed to us.
func (c *call) readAuth() error {
	path, asked := c.authArg, true
	switch c.authArg {
	case "none":
		return nil
	case "", "default":
		path, asked = conf.FindNUTAuth(c.Getenv, conf.FindPaths(c.Getenv))
		if path == "" && c.authArg == "default" {
			return program.Exitf(1, "Error: no nutauth.conf was found; -A default insists on one")
		}
		if path == "" {
			return nil
		}
	}
	auth, problems, err := conf.ReadNUTAuth(path)
	for _, p := range problems {
		c.warn("%s: %v", c.name, p)
	}
	switch {
	case err == nil:
		c.auth = auth
		return nil
	case c.authArg == "" && errors.Is(err, fs.ErrNotExist):
		c.warn("%s: %v", c.name, err)
		return nil
	case !asked && c.authArg == "" && errors.Is(err, fs.ErrPermission):
		c.log.Debug(err.Error())
		return nil
	}
	return program.Exitf(1, "Error: %v", err)
}

// fail reports what a server or the way to it answered: "Error: Data stale". With
// -D it says more.
func (c *call) fail(err error) error {
	var exit *program.ExitError
	if errors.As(err, &exit) {
		return err
	}
	c.log.Debug("failed: " + err.Error())
	return program.Exitf(1, "Error: %s", upsclient.Label(err))
}

// failList is fail for questions that very old servers do not know.
func (c *call) failList(err error) error {
	if errors.Is(err, upsclient.ErrUnknownCommand) {
		return program.Exitf(1, "Error: upsd is too old to support this query")
	}
	return c.fail(err)
}
