package dummyups

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"strings"
	"time"

	"gonut/internal/conf"
	"gonut/internal/driver"
	"gonut/internal/netproto"
	tapes "gonut/internal/transport/record"
	"gonut/internal/ups"
	"gonut/upsclient"
)

// trackEvery is how often upsd is asked what became of a request.
const trackEvery = 200 * time.Millisecond

// A repeater mirrors a device of another upsd. Settings and commands go there too,
// if nutauth.conf has a user for it.
type repeater struct {
	system   netproto.System
	client   *upsclient.Client
	log      *slog.Logger
	auth     conf.Auth
	tracking bool
	names    map[string]bool // variables of the poll before
}

// repeated is the ups that the port names.
func repeated(v driver.Values) (netproto.System, error) {
	system, err := netproto.ParseSystem(v.Port)
	if err != nil {
		return system, v.Wrong("port", "%w", err)
	}
	return system, nil
}

// openRepeater connects to the upsd that the port names.
func openRepeater(ctx context.Context, v driver.Values, log *slog.Logger) (driver.Device, error) {
	system, err := repeated(v)
	if err != nil {
		return nil, err
	}
	r := &repeater{system: system, log: log}
	if r.auth, err = readAuth(v, system.Host, log); err != nil {
		return nil, err
	}
	o, err := dialOptions(r.auth)
	if err != nil {
		return nil, driver.Configf("prepare TLS: %w", err)
	}
	record(v, system.Host.Addr(), &o)
	if r.client, err = upsclient.Dial(ctx, system.Host.Addr(), o); err != nil {
		return nil, fmt.Errorf("connect to upsd: %w", err)
	}
	if err := r.login(ctx, v.Tape); err != nil {
		r.client.Close()
		return nil, err
	}
	return r, nil
}

// record lets the connection be recorded without TLS around it, and played without.
func record(v driver.Values, addr string, o *upsclient.Options) {
	o.Dial = v.Dial
	switch {
	case v.Tape.Playing():
		o.Security = upsclient.NoTLS
	case v.Tape != nil:
		o.Dial = v.Tape.Unrecorded()
		o.Wrap = func(c net.Conn) net.Conn { return v.Tape.Tap(c, "tcp", addr) }
	}
}

// readAuth finds what nutauth.conf says about a server. Unless the option authconf
// names the file, it may be missing.
func readAuth(v driver.Values, h netproto.Host, log *slog.Logger) (conf.Auth, error) {
	none := conf.NUTAuth{}.Lookup("", h.Name, h.Port)
	if v.Tape.Playing() {
		return none, nil // who recorded it had a file of his own
	}
	path := v.Get("authconf")
	switch path {
	case "none":
		return none, nil
	case "", "default":
		found, _ := conf.FindNUTAuth(os.Getenv, conf.Paths{Conf: v.ConfPath})
		if found == "" && path == "default" {
			return none, v.Wrong("authconf", "there is no nutauth.conf")
		}
		if found == "" {
			return none, nil
		}
		path = found
	}
	auth, problems, err := conf.ReadNUTAuth(path)
	for _, p := range problems {
		log.Warn(p.String())
	}
	if err != nil {
		if v.Get("authconf") != "" {
			return none, v.Wrong("authconf", "%w", err)
		}
		log.Warn("going on without user and password", "error", err)
		return none, nil
	}
	return auth.Lookup("", h.Name, h.Port), nil
}

func dialOptions(a conf.Auth) (upsclient.Options, error) {
	tls, err := upsclient.TLSFiles{
		CAPath: a.CertPath, CertFile: a.CertFile, Ident: a.CertIdentName, Password: string(a.CertIdentPass),
		Verify: a.CertVerify == conf.On, Name: a.CertHost,
	}.Load()
	o := upsclient.Options{TLS: tls}
	switch a.ForceSSL {
	case conf.Off:
		o.Security = upsclient.NoTLS
	case conf.On:
		o.Security = upsclient.RequireTLS
	}
	return o, err
}

// login tells upsd who we are, which it checks only when something is to be done.
// A device is not logged in to: nothing hangs on this driver.
func (r *repeater) login(ctx context.Context, tape *tapes.Tape) error {
	if r.auth.Username == "" || !r.auth.HasPassword {
		return nil
	}
	tape.Secret(string(r.auth.Password))
	if err := r.client.Username(ctx, r.auth.Username); err != nil {
		return fmt.Errorf("tell upsd the user: %w", err)
	}
	if err := r.client.Password(ctx, string(r.auth.Password)); err != nil {
		return fmt.Errorf("tell upsd the password: %w", err)
	}
	r.tracking = r.client.EnableTracking(ctx) == nil
	return nil
}

// Poll reads all variables; Init also what can be set and done.
func (r *repeater) Poll(ctx context.Context, d driver.Depth, u *driver.Update) error {
	vars, err := r.client.ListVars(ctx, r.system.UPS)
	if err != nil {
		return r.explain(err)
	}
	names := make(map[string]bool)
	u.Composed()
	for _, v := range vars {
		if mine(v.Name) {
			continue
		}
		names[v.Name] = true
		u.Set(v.Name, v.Value)
	}
	for n := range r.names {
		if !names[n] {
			u.Delete(n)
		}
	}
	// Types of variables that appear later are asked for when they do.
	fresh := maps.Clone(names)
	if d != driver.Init {
		maps.DeleteFunc(fresh, func(n string, _ bool) bool { return r.names[n] })
	}
	if len(fresh) > 0 {
		if err := r.readTypes(ctx, fresh, u); err != nil {
			return r.explain(err)
		}
	}
	if d == driver.Init {
		u.Set("driver.parameter.mode", modeRepeater)
		commands, err := r.client.ListCommands(ctx, r.system.UPS)
		if err != nil {
			return r.explain(err)
		}
		for _, c := range commands {
			if !mine(c) {
				u.Command(c)
			}
		}
	}
	r.names = names // not before: what goes with an error is not published
	return nil
}

// mine reports names that every driver has for itself.
func mine(name string) bool { return strings.HasPrefix(name, "driver.") }

// readTypes asks what variables may be set to.
func (r *repeater) readTypes(ctx context.Context, names map[string]bool, u *driver.Update) error {
	writable, err := r.client.ListRW(ctx, r.system.UPS)
	if err != nil {
		return err
	}
	for _, v := range writable {
		if !names[v.Name] {
			continue
		}
		t, err := r.client.Type(ctx, r.system.UPS, v.Name)
		if err != nil {
			return err
		}
		w := driver.Writable{String: t.Has("STRING"), MaxLen: t.MaxLen()}
		if t.Has("ENUM") {
			if w.Enum, err = r.client.ListEnum(ctx, r.system.UPS, v.Name); err != nil {
				return err
			}
		}
		if t.Has("RANGE") {
			ranges, err := r.client.ListRange(ctx, r.system.UPS, v.Name)
			if err != nil {
				return err
			}
			for _, e := range ranges {
				w.Ranges = append(w.Ranges, ups.Range{Min: ups.Atoi(e.Min), Max: ups.Atoi(e.Max)})
			}
		}
		u.Writable(v.Name, w)
	}
	return nil
}

// explain tells the session whether the connection is of any use. A stale device
// is: its data are stale here as well until it answers.
func (r *repeater) explain(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, upsclient.ErrDataStale) || errors.Is(err, upsclient.ErrDriverNotConnected) {
		return fmt.Errorf("%s: %w: %w", r.system, err, driver.ErrStale)
	}
	if _, refused := errors.AsType[upsclient.Error](err); refused {
		return fmt.Errorf("%s: %w", r.system, err)
	}
	return fmt.Errorf("%s: %w: %w", r.system, err, driver.ErrGone)
}

// Wake returns nothing: upsd does not speak first.
func (r *repeater) Wake() <-chan struct{} { return nil }

// Command passes a command on.
func (r *repeater) Command(ctx context.Context, name, param string) error {
	if name == driver.ShutdownDefault && r.auth.Username == "" {
		return fmt.Errorf("a repeater cuts no power without a user in nutauth.conf: %w", driver.ErrFailed)
	}
	var params []string
	if param != "" {
		params = []string{param}
	}
	id, err := r.client.Command(ctx, r.system.UPS, name, params...)
	return r.follow(ctx, id, err)
}

// Set passes a setting on.
func (r *repeater) Set(ctx context.Context, name, value string) error {
	id, err := r.client.Set(ctx, r.system.UPS, name, value)
	return r.follow(ctx, id, err)
}

// follow waits for the result of a request.
func (r *repeater) follow(ctx context.Context, id string, err error) error {
	for err == nil && id != "" {
		var done bool
		if done, err = r.client.Tracking(ctx, id); done || err != nil {
			break
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: no result in time: %w", r.system, driver.ErrFailed)
		case <-time.After(trackEvery):
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, upsclient.ErrUnknown), errors.Is(err, upsclient.ErrCmdNotSupported), errors.Is(err, upsclient.ErrVarNotSupported):
		return fmt.Errorf("%w: %w", err, driver.ErrUnknown)
	case errors.Is(err, upsclient.ErrInvalidArgument), errors.Is(err, upsclient.ErrInvalidValue),
		errors.Is(err, upsclient.ErrTooLong), errors.Is(err, upsclient.ErrReadOnly):
		return fmt.Errorf("%w: %w", err, driver.ErrInvalid)
	}
	err = r.explain(err)
	if errors.Is(err, driver.ErrGone) {
		return err
	}
	return fmt.Errorf("%w: %w", err, driver.ErrFailed)
}

// Close ends the connection.
func (r *repeater) Close() error { return r.client.Close() }
