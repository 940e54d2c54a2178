package upsd

import (
	"bytes"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gonut/internal/netproto"
	"gonut/internal/ups"
)

// offlineServer has the device fake with the data of the vectors, and no goroutine.
func offlineServer(t testing.TB) (*Server, *link) {
	s := New(testConf(), parseUsers(t, testUsers), slog.New(slog.DiscardHandler))
	s.SetDevices([]Device{{Name: "fake", Driver: "dummy"}, {Name: "Third", Driver: "dummy"}})
	d := s.device([]byte("fake"))
	d.begin()
	d.conn = discard{}
	l := &link{server: s, device: d}
	l.feed([]byte(dump))
	return s, l
}

// discard is a connection to nobody.
type discard struct{ net.Conn }

func (discard) Write(p []byte) (int, error)      { return len(p), nil }
func (discard) SetWriteDeadline(time.Time) error { return nil }
func (discard) Close() error                     { return nil }
func (discard) RemoteAddr() net.Addr             { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)} }

// transcripts adds what the clients of all transcripts say.
func transcripts(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no transcripts: %v", err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		// Short seeds: the engine likes to make long ones shorter for minutes.
		var part strings.Builder
		n := 0
		for line := range strings.Lines(string(text)) {
			if c, ok := strings.CutPrefix(line, "C:"); ok {
				part.WriteString(unescape(strings.TrimPrefix(c, " ")))
				n++
			}
			if n == 6 {
				f.Add([]byte(part.String()), uint8(7))
				part.Reset()
				n = 0
			}
		}
		f.Add([]byte(part.String()), uint8(255))
	}
}

// FuzzRequests: whatever a client sends, in pieces of any size, each reply is whole
// lines that make sense, and the size of what is kept is bounded.
func FuzzRequests(f *testing.F) {
	transcripts(f)
	f.Add([]byte("USERNAME admin\nPASSWORD secret\nSET TRACKING ON\nINSTCMD fake load.off \"1 2\"\nWATCH * a\nUNWATCH\n"), uint8(3))
	f.Add([]byte("LIST VAR \"fa\\\nke\" x=y=z \"#\n\x00\x01\xff = = = \\"), uint8(1))
	f.Add(bytes.Repeat([]byte("LIST VAR fake\n"), 100), uint8(255))
	s, _ := offlineServer(f)
	f.Fuzz(func(t *testing.T, in []byte, piece uint8) {
		c, d := &session{server: s, conn: discard{}, stream: discard{}}, new(desk)
		for len(in) > 0 {
			n := min(int(piece)+1, len(in))
			rest := in[:n]
			in = in[n:]
			for len(rest) > 0 {
				rest = c.answer(d, rest)
				checkReplies(t, d.out)
				if !d.lex.Idle() {
					t.Fatal("the next client's request begins with the rest of this one's")
				}
				switch c.wants {
				case wantClose:
					return
				case wantProof:
					rest = append(slices.Clone(c.left), rest...)
					c.left, c.wants = nil, wantNothing
				case wantPush:
					rest = append(slices.Clone(c.left), rest...)
					c.left, c.wants = nil, wantNothing
				}
			}
		}
	})
}

func checkReplies(t *testing.T, out []byte) {
	t.Helper()
	if len(out) == 0 {
		return
	}
	if out[len(out)-1] != '\n' {
		t.Fatalf("a reply does not end its line: %q", out)
	}
	if len(out) > 2*maxReply {
		t.Fatalf("%d bytes of reply at once", len(out))
	}
	for line := range bytes.Lines(out) {
		word, _, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
		switch string(word) {
		case "OK", "ERR", "BEGIN", "END", "VAR", "RW", "CMD", "UPS", "CLIENT", "ENUM", "RANGE", "TYPE", "DESC", "CMDDESC",
			"UPSDESC", "NUMLOGINS", "Network", "Commands:", netproto.Version, "ON", "OFF", "PENDING", "SUCCESS":
		default:
			t.Fatalf("what is %q?", line)
		}
		if i := bytes.IndexFunc(line[:len(line)-1], func(r rune) bool { return r < ' ' }); i >= 0 {
			t.Fatalf("control character in %q", line)
		}
	}
}

// FuzzDriver: whatever a driver sends, the device stays one that can be served.
func FuzzDriver(f *testing.F) {
	for line := range strings.Lines(dump) {
		f.Add([]byte(line), uint8(100))
	}
	f.Add([]byte("SETINFO a \"x # y\" z\nSETINFO ups.status \"FSD \\\"\"\nDATASTALE\nTRACKING x 7\nPONG\n"), uint8(1))
	f.Add([]byte("ADDENUM a\nADDRANGE ups.rw.range 9 1\nDELINFO\nSETAUX ups.rw.str -5\nSETFLAGS ups.rw.str\n=\n"), uint8(4))
	s, first := offlineServer(f)
	f.Fuzz(func(t *testing.T, in []byte, piece uint8) {
		d := first.device
		d.begin()
		l := &link{server: s, device: d}
		l.feed([]byte(dump))
		for len(in) > 0 {
			n := min(int(piece)+1, len(in))
			l.feed(in[:n])
			in = in[n:]
		}
		p := d.state.Snapshot()
		if !slices.IsSortedFunc(p.Variables, func(a, b ups.Variable) int { return strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)) }) {
			t.Errorf("variables are not sorted: %v", p.Variables)
		}
		c, desk := &session{server: s, conn: discard{}, stream: discard{}}, new(desk)
		for _, request := range []string{"LIST VAR fake\n", "LIST RW fake\n", "LIST CMD fake\n", "GET VAR fake ups.status\n"} {
			c.answer(desk, []byte(request))
			checkReplies(t, desk.out)
		}
	})
}
