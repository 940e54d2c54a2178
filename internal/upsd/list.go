package upsd

import (
	"gonut/internal/netproto"
	"gonut/internal/ups"
)

// list answers LIST. Words that it does not need are ignored, as in C.
func (s *session) list(r request, out []byte) ([]byte, netproto.Error) {
	if r.Len() < 2 {
		return nil, netproto.ErrInvalidArgument
	}
	var buf [16]byte
	what := string(upper(buf[:], r.Bytes(1)))
	if what == "UPS" {
		return s.listUPS(out), ""
	}
	if r.Len() < 3 {
		return nil, netproto.ErrInvalidArgument
	}
	switch what {
	case "VAR":
		return s.listOf(listVar, r, out)
	case "RW":
		return s.listOf(listRW, r, out)
	case "CMD":
		return s.listOf(listCmd, r, out)
	case "CLIENT":
		return s.listClients(r, out)
	}
	if r.Len() < 4 {
		return nil, netproto.ErrInvalidArgument
	}
	switch what {
	case "ENUM":
		return s.listRows(r, out, "ENUM", appendEnum)
	case "RANGE":
		return s.listRows(r, out, "RANGE", appendRanges)
	}
	return nil, netproto.ErrInvalidArgument
}

func (s *session) listUPS(out []byte) []byte {
	out = append(out, "BEGIN LIST UPS\n"...)
	for _, d := range s.server.table.Load().list {
		desc := d.info.Load().Desc
		if desc == "" {
			desc = netproto.NoDescription
		}
		out = append(out, "UPS "...)
		out = append(out, d.name...)
		out = append(netproto.AppendValue(append(out, ' '), desc), '\n')
	}
	return append(out, "END LIST UPS\n"...)
}

// listOf answers the lists of everything that a device has. As in variable, the
// data are read before the gate.
func (s *session) listOf(kind int, r request, out []byte) ([]byte, netproto.Error) {
	d := s.server.device(r.Bytes(2))
	if d == nil {
		return nil, netproto.ErrUnknownUPS
	}
	list := d.list(kind, r.Bytes(2))
	if err := d.available(); err != "" {
		if s.takesErrors() {
			return nil, err
		}
		list = renderList(kind, r.Bytes(2), &ups.Snapshot{}, false)
	}
	return append(out, list...), ""
}

func (s *session) listClients(r request, out []byte) ([]byte, netproto.Error) {
	d := s.server.device(r.Bytes(2))
	if d == nil {
		return nil, netproto.ErrUnknownUPS
	}
	out = appendFrame(out, "BEGIN", "CLIENT", r.Bytes(2), nil)
	for _, c := range d.loggedIn() {
		out = append(out, "CLIENT "...)
		out = append(out, d.name...)
		out = appendLine(append(out, ' '), c.address())
	}
	return appendFrame(out, "END", "CLIENT", r.Bytes(2), nil), ""
}

// listRows answers the lists about one variable.
func (s *session) listRows(r request, out []byte, what string, rows func(out []byte, head string, v *ups.Variable) []byte) ([]byte, netproto.Error) {
	_, v, err := s.variable(r)
	if err != "" {
		return nil, err
	}
	head := string(appendWords(nil, what, r.Bytes(2), r.Bytes(3)))
	out = appendFrame(out, "BEGIN", what, r.Bytes(2), r.Bytes(3))
	out = rows(out, head, &v)
	return appendFrame(out, "END", what, r.Bytes(2), r.Bytes(3)), ""
}

func appendEnum(out []byte, head string, v *ups.Variable) []byte {
	for _, e := range v.Enum {
		out = append(netproto.AppendValue(append(out, head...), e), '\n')
	}
	return out
}

func appendRanges(out []byte, head string, v *ups.Variable) []byte {
	for _, e := range v.Ranges {
		out = append(append(out, head...), '"')
		out = append(appendInt(out, e.Min), `" "`...)
		out = append(appendInt(out, e.Max), "\"\n"...)
	}
	return out
}

// appendFrame appends the first or last line of a list.
func appendFrame(out []byte, edge, what string, ups, variable []byte) []byte {
	out = append(append(out, edge...), " LIST "...)
	if variable == nil {
		out = appendWords(out, what, ups)
	} else {
		out = appendWords(out, what, ups, variable)
	}
	out[len(out)-1] = '\n'
	return out
}
