// Package drvsock is the protocol between drivers and upsd on a local socket: its
// lines, and where the sockets live. The driver is the server; anything may
// connect and is told every change. The package keeps no state of a device (that
// is ups.State) and decides nothing.
package drvsock

import (
	"fmt"
	"strconv"
	"strings"

	"gonut/internal/netproto"
	"gonut/internal/ups"
	"gonut/internal/words"
)

// Lines without arguments.
const (
	Ping       = "PING"
	Pong       = "PONG"
	DumpAll    = "DUMPALL"
	DumpStatus = "DUMPSTATUS"
	DumpDone   = "DUMPDONE"
	GetPID     = "GETPID"
	Logout     = "LOGOUT"
	Goodbye    = "OK Goodbye"
)

// MaxValue is the longest value in bytes, escapes included, that a line carries.
const MaxValue = 255

var verbs = [...]string{
	ups.SetInfo: "SETINFO", ups.DelInfo: "DELINFO", ups.AddEnum: "ADDENUM", ups.DelEnum: "DELENUM",
	ups.AddRange: "ADDRANGE", ups.DelRange: "DELRANGE", ups.SetAux: "SETAUX", ups.SetFlags: "SETFLAGS",
	ups.AddCmd: "ADDCMD", ups.DelCmd: "DELCMD", ups.DataOK: "DATAOK", ups.DataStale: "DATASTALE",
}

// least is the number of arguments, the name included, without which upsd ignores
// a line.
var least = [len(verbs)]int{
	ups.SetInfo: 2, ups.DelInfo: 1, ups.AddEnum: 2, ups.DelEnum: 2, ups.AddRange: 3, ups.DelRange: 3,
	ups.SetAux: 2, ups.SetFlags: 2, ups.AddCmd: 1, ups.DelCmd: 1,
}

// Append appends the line that announces c. Values are escaped in dumps and in
// live updates alike (C forgets it in the latter) and cut to MaxValue. All other
// words are quoted only if they need it, which those that C knows never do.
func Append(dst []byte, c ups.Change) []byte {
	dst = append(dst, verbs[c.Op]...)
	if c.Name != "" {
		dst = append(dst, ' ')
		dst = words.AppendWord(dst, c.Name)
	}
	for _, a := range c.Args {
		dst = append(dst, ' ')
		switch c.Op {
		case ups.SetInfo, ups.AddEnum, ups.DelEnum:
			dst = append(dst, '"')
			dst = words.AppendEscaped(dst, a, MaxValue)
			dst = append(dst, '"')
		default:
			dst = words.AppendWord(dst, a)
		}
	}
	return append(dst, '\n')
}

// A Kind tells what a Message is.
type Kind uint8

// What drivers say.
const (
	None         Kind = iota // unknown or malformed: to be ignored
	Change                   // Message.Change
	PongReply                // the driver lives
	DumpEnd                  // the dump is complete
	TrackingDone             // Message.ID and Message.Result
	PIDReply                 // Message.ID holds the text
	GoodbyeReply             // the driver closes
)

// A Message is one line from a driver.
type Message struct {
	Kind   Kind
	Change ups.Change
	ID     string
	Result netproto.Result
}

// Parse reads a record from a driver. What is not understood has Kind None: it
// must be ignored, for newer drivers may say more.
func Parse(ws []string) Message {
	if len(ws) == 0 {
		return Message{}
	}
	verb, args := ws[0], ws[1:]
	for op, v := range verbs {
		if !strings.EqualFold(verb, v) {
			continue
		}
		if len(args) < least[op] {
			return Message{}
		}
		c := ups.Change{Op: ups.Op(op)}
		if least[op] > 0 {
			c.Name, c.Args = args[0], args[1:]
		}
		return Message{Kind: Change, Change: c}
	}
	switch strings.ToUpper(verb) {
	case Pong:
		return Message{Kind: PongReply}
	case DumpDone:
		return Message{Kind: DumpEnd}
	case "TRACKING":
		if len(args) >= 2 {
			return Message{Kind: TrackingDone, ID: args[0], Result: netproto.Result(ups.Atoi(args[1]))}
		}
	case "PID":
		if len(args) >= 1 {
			return Message{Kind: PIDReply, ID: args[0]}
		}
	case "OK":
		return Message{Kind: GoodbyeReply}
	}
	return Message{}
}

// AppendTracking appends the line that reports the result of a tracked request.
func AppendTracking(dst []byte, id string, r netproto.Result) []byte {
	dst = append(dst, "TRACKING "...)
	dst = words.AppendWord(dst, id)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, int64(r), 10)
	return append(dst, '\n')
}

// A Request is an INSTCMD or SET for a driver.
type Request struct {
	Set      bool   // SET, not INSTCMD
	Name     string // of the command or variable
	Value    string // the value, or the parameter of the command
	HasValue bool   // false for a command without parameter
	ID       string // tracking id; empty if nobody asks for the result
}

// Append appends the line that makes the request. Values are quoted, so that
// blanks survive.
func (r Request) Append(dst []byte) []byte {
	verb := "INSTCMD "
	if r.Set {
		verb = "SET "
	}
	dst = append(dst, verb...)
	dst = words.AppendWord(dst, r.Name)
	if r.Set || r.HasValue {
		dst = append(dst, ' ')
		if r.Set {
			dst = words.AppendQuoted(dst, r.Value)
		} else {
			dst = words.AppendWord(dst, r.Value)
		}
	}
	if r.ID != "" {
		dst = append(dst, " TRACKING "...)
		dst = words.AppendWord(dst, r.ID)
	}
	return append(dst, '\n')
}

// ParseRequest reads an INSTCMD or SET. ok is false if ws is neither. An error
// means that it is one but malformed; Request.ID is then still set if the words
// end in TRACKING and an id, so that the asker can be told.
func ParseRequest(ws []string) (r Request, ok bool, err error) {
	if len(ws) == 0 {
		return r, false, nil
	}
	switch strings.ToUpper(ws[0]) {
	case "INSTCMD":
	case "SET":
		r.Set = true
	default:
		return r, false, nil
	}
	args := ws[1:]
	fewest, most := 1, 2
	if r.Set {
		fewest = 2
	}
	if n := len(args); n >= fewest+2 && strings.EqualFold(args[n-2], "TRACKING") {
		r.ID = args[n-1]
		args = args[:n-2]
	}
	if len(args) < fewest || len(args) > most {
		return r, true, fmt.Errorf("malformed %s of %d words", strings.ToUpper(ws[0]), len(ws))
	}
	r.Name = args[0]
	if len(args) == 2 {
		r.Value, r.HasValue = args[1], true
	}
	return r, true, nil
}
