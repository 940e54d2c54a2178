package upsd

import (
	"time"

	"gonut/internal/netproto"
	"gonut/internal/program"
	"gonut/internal/ups"
)

// banner is what VER answers.
func banner() string {
	return "Network UPS Tools upsd " + program.Version() + " - https://www.networkupstools.org/"
}

// get answers GET. The checks come in C's order, which clients can see.
func (s *session) get(r request, out []byte) ([]byte, netproto.Error) {
	if r.Len() < 2 {
		return nil, netproto.ErrInvalidArgument
	}
	var buf [16]byte
	what := string(upper(buf[:], r.Bytes(1)))
	if what == "TRACKING" {
		return s.getTracking(r, out)
	}
	if r.Len() < 3 {
		return nil, netproto.ErrInvalidArgument
	}
	switch what {
	case "NUMLOGINS":
		return s.getNumLogins(r, out)
	case "UPSDESC":
		return s.getUPSDesc(r, out)
	}
	if r.Len() < 4 {
		return nil, netproto.ErrInvalidArgument
	}
	switch what {
	case "VAR":
		return s.getVar(r, out)
	case "TYPE":
		return s.getType(r, out)
	case "DESC":
		return s.getDesc(r, out, s.server.texts.Load().Variable)
	case "CMDDESC":
		return s.getDesc(r, out, s.server.texts.Load().Command)
	}
	return nil, netproto.ErrInvalidArgument
}

func (s *session) getNumLogins(r request, out []byte) ([]byte, netproto.Error) {
	d := s.server.device(r.Bytes(2))
	if d == nil {
		return nil, netproto.ErrUnknownUPS
	}
	if err := d.available(); err != "" && s.takesErrors() {
		return nil, err
	}
	out = appendWords(out, "NUMLOGINS", r.Bytes(2))
	return append(appendInt(out, d.logins(time.Now())), '\n'), ""
}

func (s *session) getUPSDesc(r request, out []byte) ([]byte, netproto.Error) {
	d := s.server.device(r.Bytes(2))
	if d == nil {
		return nil, netproto.ErrUnknownUPS
	}
	out = appendWords(out, "UPSDESC", r.Bytes(2))
	desc := d.info.Load().Desc
	if desc == "" {
		desc = netproto.NoUPSDescription
	}
	return append(netproto.AppendValue(out, desc), '\n'), ""
}

// getVar answers GET VAR, the request that servers get most. server.* needs no
// device, as in C.
func (s *session) getVar(r request, out []byte) ([]byte, netproto.Error) {
	name := r.Bytes(3)
	if len(name) >= len("server.") && equalFold(name[:len("server.")], "server.") {
		return s.getServerVar(r, out)
	}
	d := s.server.device(r.Bytes(2))
	if d == nil {
		return nil, netproto.ErrUnknownUPS
	}
	value := d.current().value(name) // before the gate: see variable
	if err := d.available(); err != "" {
		return nil, err
	}
	if value == nil {
		return nil, netproto.ErrVarNotSupported
	}
	return appendVar(out, r.Bytes(2), name, value), ""
}

//go:noinline
func appendVar(out, ups, name, value []byte) []byte {
	out = append(append(out, "VAR "...), ups...)
	out = append(append(out, ' '), name...)
	return append(append(out, ' '), value...)
}

// getServerVar answers about the server itself, in small letters however it was
// asked, as in C.
func (s *session) getServerVar(r request, out []byte) ([]byte, netproto.Error) {
	var name, text string
	switch asked := r.Bytes(3); {
	case equalFold(asked, "server.info"):
		name, text = "server.info", banner()
	case equalFold(asked, "server.version"):
		name, text = "server.version", program.Version()
	default:
		return nil, netproto.ErrVarNotSupported
	}
	out = append(appendWords(out, "VAR", r.Bytes(2)), name...)
	return append(netproto.AppendValue(append(out, ' '), text), '\n'), ""
}

// variable finds the variable that words 2 and 3 of a request name. The data are
// read before the gate is looked at: a gate that is open afterwards means that
// they were good.
func (s *session) variable(r request) (*device, ups.Variable, netproto.Error) {
	d := s.server.device(r.Bytes(2))
	if d == nil {
		return nil, ups.Variable{}, netproto.ErrUnknownUPS
	}
	v, ok := d.state.Snapshot().Variable(string(r.Bytes(3)))
	if err := d.available(); err != "" {
		return nil, ups.Variable{}, err
	}
	if !ok {
		return nil, ups.Variable{}, netproto.ErrVarNotSupported
	}
	return d, v, ""
}

func (s *session) getType(r request, out []byte) ([]byte, netproto.Error) {
	_, v, err := s.variable(r)
	if err != "" {
		return nil, err
	}
	out = appendWords(out, "TYPE", r.Bytes(2), r.Bytes(3))
	out = out[:len(out)-1]
	if v.Flags&ups.RW != 0 {
		out = append(out, " RW"...)
	}
	if len(v.Enum) > 0 {
		out = append(out, " ENUM"...)
	}
	if len(v.Ranges) > 0 {
		out = append(out, " RANGE"...)
	}
	if v.Flags&ups.String != 0 {
		out = appendInt(append(out, " STRING:"...), v.MaxLen)
	} else {
		out = append(out, " NUMBER"...)
	}
	return append(out, '\n'), ""
}

// getDesc answers GET DESC and GET CMDDESC. What is described need not exist.
func (s *session) getDesc(r request, out []byte, text func(string) (string, bool)) ([]byte, netproto.Error) {
	d := s.server.device(r.Bytes(2))
	if d == nil {
		return nil, netproto.ErrUnknownUPS
	}
	if err := d.available(); err != "" {
		return nil, err
	}
	t, ok := text(string(r.Bytes(3)))
	if !ok {
		t = netproto.NoDescription
	}
	var buf [16]byte
	out = appendWords(out, string(upper(buf[:], r.Bytes(1))), r.Bytes(2), r.Bytes(3))
	out = append(out, '"')
	out = append(out, t...)
	return append(out, "\"\n"...), ""
}

// ver, netver and help are the questions about the server itself.
func (s *session) ver(r request, out []byte) ([]byte, netproto.Error) {
	return info(r, out, banner())
}

func (s *session) netver(r request, out []byte) ([]byte, netproto.Error) {
	return info(r, out, netproto.Version)
}

func (s *session) help(r request, out []byte) ([]byte, netproto.Error) {
	return info(r, out, "Commands: HELP VER PROTVER GET LIST SET INSTCMD LOGIN LOGOUT USERNAME PASSWORD STARTTLS")
}

func info(r request, out []byte, text string) ([]byte, netproto.Error) {
	if r.Len() != 1 {
		return nil, netproto.ErrInvalidArgument
	}
	return appendLine(out, text), ""
}
