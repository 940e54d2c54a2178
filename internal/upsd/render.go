package upsd

import (
	"slices"
	"strings"
	"sync/atomic"

	"gonut/internal/netproto"
	"gonut/internal/ups"
	"gonut/internal/words"
)

// A rendering keeps the replies that depend on nothing but a Snapshot and the
// latch, so that they are made once per change and not once per request.
type rendering struct {
	snapshot *ups.Snapshot
	fsd      bool
	lists    [listKinds]atomic.Pointer[[]byte]
	values   atomic.Pointer[map[string][]byte]
}

// current returns the rendering of what is known now.
func (d *device) current() *rendering {
	snap, fsd := d.state.Snapshot(), d.fsd.Load()
	r := d.rendered.Load()
	if r == nil || r.snapshot != snap || r.fsd != fsd {
		r = &rendering{snapshot: snap, fsd: fsd}
		d.rendered.Store(r)
	}
	return r
}

// value returns how the reply to GET VAR ends: the value of the variable and the
// line's end. It is nil if there is no such variable.
func (r *rendering) value(name []byte) []byte {
	values := r.values.Load()
	if values == nil {
		values = r.renderValues()
		r.values.Store(values)
	}
	return lookUp(*values, name)
}

func (r *rendering) renderValues() *map[string][]byte {
	values := make(map[string][]byte, len(r.snapshot.Variables))
	for i := range r.snapshot.Variables {
		v := &r.snapshot.Variables[i]
		values[strings.ToLower(v.Name)] = append(appendValue(nil, v, r.fsd), '\n')
	}
	return &values
}

// The lists that are kept.
const (
	listVar = iota
	listRW
	listCmd
	listKinds
)

// list returns the whole reply to LIST VAR, RW or CMD for a client that spells the
// device's name in this way. The caller must not change it.
func (d *device) list(kind int, spelling []byte) []byte {
	r := d.current()
	if string(spelling) != d.name {
		return renderList(kind, spelling, r.snapshot, r.fsd)
	}
	if p := r.lists[kind].Load(); p != nil {
		return *p
	}
	reply := renderList(kind, spelling, r.snapshot, r.fsd)
	r.lists[kind].Store(&reply)
	return reply
}

var listWords = [listKinds]string{listVar: "VAR", listRW: "RW", listCmd: "CMD"}

func renderList(kind int, spelling []byte, p *ups.Snapshot, fsd bool) []byte {
	word := listWords[kind]
	var b []byte
	b = append(b, "BEGIN LIST "+word+" "...)
	b = append(b, spelling...)
	b = append(b, '\n')
	if kind == listCmd {
		for _, c := range p.Commands {
			b = append(b, "CMD "...)
			b = append(b, spelling...)
			b = append(b, ' ')
			b = append(b, c...)
			b = append(b, '\n')
		}
	} else {
		for i := range p.Variables {
			v := &p.Variables[i]
			if kind == listRW && v.Flags&ups.RW == 0 {
				continue
			}
			b = append(b, word...)
			b = append(b, ' ')
			b = append(b, spelling...)
			b = append(b, ' ')
			b = append(b, v.Name...)
			b = append(b, ' ')
			b = appendValue(b, v, fsd && kind == listVar)
			b = append(b, '\n')
		}
	}
	b = append(b, "END LIST "+word+" "...)
	b = append(b, spelling...)
	b = append(b, '\n')
	return slices.Clip(b)
}

// appendValue appends the published value of v; that of ups.status begins with FSD
// while the latch is set, whatever the driver says.
func appendValue(b []byte, v *ups.Variable, fsd bool) []byte {
	if !fsd || !strings.EqualFold(v.Name, ups.StatusName) {
		return netproto.AppendValue(b, v.Value)
	}
	b = append(b, `"`+ups.FSD+" "...)
	b = words.AppendEscaped(b, v.Value, netproto.MaxValue)
	return append(b, '"')
}
