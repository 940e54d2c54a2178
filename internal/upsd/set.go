package upsd

import (
	"slices"

	"gonut/internal/drvsock"
	"gonut/internal/netproto"
	"gonut/internal/ups"
)

// set answers SET VAR and SET TRACKING.
func (s *session) set(r request, out []byte) ([]byte, netproto.Error) {
	if r.Len() < 3 {
		return nil, netproto.ErrInvalidArgument
	}
	switch {
	case equalFold(r.Bytes(1), "tracking"):
		return s.setTracking(r, out)
	case equalFold(r.Bytes(1), "var") && r.Len() >= 5:
		return s.setVar(r, out)
	}
	return nil, netproto.ErrInvalidArgument
}

// setVar checks in C's order and hands the value to the driver. Words behind the
// value are ignored, as in C.
func (s *session) setVar(r request, out []byte) ([]byte, netproto.Error) {
	d := s.server.device(r.Bytes(2))
	if d == nil {
		return nil, netproto.ErrUnknownUPS
	}
	name, value := string(r.Bytes(3)), string(r.Bytes(4))
	v, known := d.state.Variable(name)
	if err := d.available(); err != "" {
		return nil, err
	}
	if !s.may("SET") {
		return nil, netproto.ErrAccessDenied
	}
	if !known {
		return nil, netproto.ErrVarNotSupported
	}
	if v.Flags&ups.String != 0 && v.Flags&ups.RW != 0 && v.MaxLen < 1 {
		s.server.log.Warn("the driver announced a variable without a length", "ups", d.name, "variable", v.Name)
	}
	if err := settable(&v, value); err != "" {
		return nil, err
	}
	req := drvsock.Request{Set: true, Name: name, Value: value, HasValue: true}
	return s.forward(d, req, out, netproto.ErrSetFailed)
}

// settable returns why v must not become value, empty if it may.
func settable(v *ups.Variable, value string) netproto.Error {
	switch {
	case v.Flags&ups.RW == 0:
		return netproto.ErrReadOnly
	case v.Flags&ups.String != 0 && v.MaxLen < 1:
		return netproto.ErrSetFailed
	case v.Flags&ups.String != 0 && len(value) > v.MaxLen:
		return netproto.ErrTooLong
	case len(v.Enum) > 0 && !slices.Contains(v.Enum, value):
		return netproto.ErrInvalidValue
	case len(v.Ranges) > 0 && !inRanges(v.Ranges, ups.Atoi(value)):
		return netproto.ErrInvalidValue
	}
	return ""
}

func inRanges(rs []ups.Range, n int) bool {
	return slices.ContainsFunc(rs, func(r ups.Range) bool { return r.Min <= n && n <= r.Max })
}

// instcmd checks in C's order and hands the command to the driver. A parameter
// counts only if nothing follows it, and an empty one is none, as in C: a driver would
// take it for the number 0.
func (s *session) instcmd(r request, out []byte) ([]byte, netproto.Error) {
	if r.Len() < 3 {
		return nil, netproto.ErrInvalidArgument
	}
	d := s.server.device(r.Bytes(1))
	if d == nil {
		return nil, netproto.ErrUnknownUPS
	}
	name := string(r.Bytes(2))
	known := d.state.HasCommand(name)
	if err := d.available(); err != "" {
		return nil, err
	}
	if !known {
		return nil, netproto.ErrCmdNotSupported
	}
	if a := s.who(); a == nil || !a.mayCommand(name) {
		s.server.log.Debug("refused", "client", s, "user", s.user, "command", name)
		return nil, netproto.ErrAccessDenied
	}
	req := drvsock.Request{Name: name}
	if r.Len() == 4 && len(r.Bytes(3)) > 0 {
		req.Value, req.HasValue = string(r.Bytes(3)), true
	}
	return s.forward(d, req, out, netproto.ErrInstcmdFailed)
}

// forward hands a request to the driver and answers OK, or failed if the driver
// does not take it.
func (s *session) forward(d *device, req drvsock.Request, out []byte, failed netproto.Error) ([]byte, netproto.Error) {
	if s.tracks {
		req.ID = s.server.tracking.begin(s)
	}
	if err := d.send(req.Append(nil)); err != nil {
		s.server.log.Info("cannot hand a request to the driver", "ups", d.name, "error", err)
		return nil, failed
	}
	what := "instant command"
	if req.Set {
		what = "variable set"
	}
	s.server.log.Info(what, "client", s, "user", s.user, "ups", d.name,
		"name", req.Name, "value", req.Value, "tracking", req.ID)
	if req.ID == "" {
		return appendLine(out, netproto.OK), ""
	}
	return appendLine(append(out, netproto.TrackingPrefix...), req.ID), ""
}
