package netproto

import (
	"strings"

	"gonut/internal/words"
)

// Words of the push extension (docs/protocol-push.md). A server that does not know
// it answers WATCH with UNKNOWN-COMMAND.
const (
	Watch   = "WATCH"
	Unwatch = "UNWATCH"
	All     = "*"    // as the name of the ups: every one
	Push    = "PUSH" // how each line begins that nobody asked for
)

// StateOK is the state of a ups whose data are current. The other states are
// ErrDataStale, ErrDriverNotConnected and ErrUnknownUPS.
const StateOK = "OK"

// A PushKind is what a pushed line says.
type PushKind uint8

// The kinds of pushed lines.
const (
	PushBegin PushKind = iota // all values follow; what was known of the ups is void
	PushVar                   // Name has Value now
	PushDel                   // Name is gone
	PushState                 // Value is the state from now on
	PushEnd                   // a step is complete
)

var pushWords = [...]string{PushBegin: "BEGIN", PushVar: "VAR", PushDel: "DEL", PushState: "STATE", PushEnd: "END"}

// A PushLine is one pushed line.
type PushLine struct {
	Kind        PushKind
	UPS         string
	Name, Value string
}

// AppendPush appends the beginning of a pushed line up to the ups' name.
func AppendPush(dst []byte, k PushKind, ups string) []byte {
	dst = append(dst, Push+" "...)
	dst = append(dst, pushWords[k]...)
	dst = append(dst, ' ')
	return words.AppendWord(dst, ups)
}

// Append appends the line.
func (p PushLine) Append(dst []byte) []byte {
	dst = AppendPush(dst, p.Kind, p.UPS)
	switch p.Kind {
	case PushVar:
		dst = words.AppendWord(append(dst, ' '), p.Name)
		dst = AppendValue(append(dst, ' '), p.Value)
	case PushDel:
		dst = words.AppendWord(append(dst, ' '), p.Name)
	case PushState:
		dst = append(append(dst, ' '), p.Value...)
	}
	return append(dst, '\n')
}

// ParsePush reads the words of a line. pushed is false if it is a reply. A pushed
// line of a kind that we do not know, or with words missing, has ok false: it must
// be ignored, for newer servers may say more.
func ParsePush(ws []string) (p PushLine, pushed, ok bool) {
	if len(ws) == 0 || ws[0] != Push {
		return p, false, false
	}
	if len(ws) < 3 {
		return p, true, false
	}
	p.UPS = ws[2]
	for k, w := range pushWords {
		if !strings.EqualFold(ws[1], w) {
			continue
		}
		p.Kind = PushKind(k)
		args := ws[3:]
		switch p.Kind {
		case PushVar:
			if len(args) < 2 {
				return p, true, false
			}
			p.Name, p.Value = args[0], args[1]
		case PushDel:
			if len(args) < 1 {
				return p, true, false
			}
			p.Name = args[0]
		case PushState:
			if len(args) < 1 {
				return p, true, false
			}
			p.Value = args[0]
		}
		return p, true, true
	}
	return p, true, false
}
