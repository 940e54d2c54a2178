package upsd

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"gonut/internal/netproto"
	"gonut/internal/words"
)

// A request is a record of words from a client.
type request = *words.Lexer

// A session is one client. What is not atomic belongs to the goroutine that runs
// it.
type session struct {
	server *Server
	door   net.Listener // by which it came in
	conn   net.Conn     // as accepted
	stream net.Conn     // what to read and write: conn, or TLS on it
	seq    uint64       // sessions that began before this one, and one
	host   hostKey
	peer   peer
	begun  *words.Lexer // the request of which a part has come
	left   []byte       // what came behind a request that has to wait

	opening          opening
	user, password   string
	hasUser, hasPass bool
	tracks           bool      // SET TRACKING ON was said
	tls              bool      // the connection is encrypted
	told             bool      // a broken line was logged
	wants            want      // what has to happen after the reply
	login            *device   // nil if not logged in
	account          *account  // who it is, if proved is current
	proved           *accounts // the users among whom account was found
	wish             wish      // for wantPush
	feed             *feed     // nil if nothing is watched

	heardAt atomic.Int64 // when the last complete record came: nanoseconds after Server.epoch
	counted atomic.Bool  // login is set
	mu      sync.Mutex   // serialises writes
}

// A want is what a request asks for beyond its reply.
type want uint8

const (
	wantNothing want = iota
	wantClose        // LOGOUT
	wantTLS          // STARTTLS
	wantProof        // a password that takes time to look at; the reply comes then
	wantPush         // WATCH
)

// An opening is what a client's first requests tell of it.
type opening uint8

const (
	openingNone  opening = iota // nothing was asked yet
	openingVer                  // VER, and nothing more
	openingGoNUT                // VER and then NETVER: the library go.nut
	openingOther
)

// after returns the opening with one more request.
func (o opening) after(verb []byte) opening {
	switch {
	case o == openingNone && string(verb) == "VER":
		return openingVer
	case o == openingVer && string(verb) == "NETVER":
		return openingGoNUT
	}
	return openingOther
}

// takesErrors reports whether the client can bear an error in place of a list.
// go.nut waits for the end of the list for ever, and with it Telegraf and others,
// for one dead driver among many; COMPAT go.nut helps them.
func (s *session) takesErrors() bool {
	return s.opening != openingGoNUT || s.login != nil || !s.server.conf.Load().CompatGoNUT
}

// A verb is what to do with a request that begins with it.
type verb struct {
	// do appends the reply to out, or returns the error that is the reply.
	do   func(s *session, r request, out []byte) ([]byte, netproto.Error)
	auth bool // USERNAME and PASSWORD have to come first
}

// verbOf returns the command of that name, given in upper case. (A switch takes a
// third of the time of a map.)
func verbOf(name []byte) (v verb, ok bool) {
	switch string(name) {
	case "GET":
		return verb{do: (*session).get}, true
	case "LIST":
		return verb{do: (*session).list}, true
	case "SET":
		return verb{do: (*session).set, auth: true}, true
	case "INSTCMD":
		return verb{do: (*session).instcmd, auth: true}, true
	case "USERNAME":
		return verb{do: (*session).setUser}, true
	case "PASSWORD":
		return verb{do: (*session).setPassword}, true
	case "LOGIN":
		return verb{do: (*session).logIn, auth: true}, true
	case "LOGOUT":
		return verb{do: (*session).logOut}, true
	case "PRIMARY":
		return verb{do: (*session).primary, auth: true}, true
	case "MASTER":
		return verb{do: (*session).master, auth: true}, true
	case "FSD":
		return verb{do: (*session).forceShutdown, auth: true}, true
	case "VER":
		return verb{do: (*session).ver}, true
	case "NETVER", "PROTVER":
		return verb{do: (*session).netver}, true
	case "HELP":
		return verb{do: (*session).help}, true
	case "STARTTLS":
		return verb{do: (*session).startTLS}, true
	case "WATCH":
		return verb{do: (*session).watch}, true
	case "UNWATCH":
		return verb{do: (*session).unwatch}, true
	}
	return verb{}, false
}

// do answers one request: it appends the reply to out. It does no I/O with the
// client; what has to follow the reply it leaves in s.wants.
func (s *session) do(r request, out []byte) []byte {
	reply, err := s.try(r, out)
	if err != "" {
		return netproto.AppendError(out, err)
	}
	return reply
}

// try is do but for errors. (The way from here to the reply is kept short in frames:
// with thousands of clients each byte of stack that a request touches is a byte to
// be fetched.)
func (s *session) try(r request, out []byte) ([]byte, netproto.Error) {
	if r.Len() == 0 {
		return nil, netproto.ErrUnknownCommand
	}
	var up [16]byte
	name := upper(up[:], r.Bytes(0))
	if s.opening < openingGoNUT {
		s.opening = s.opening.after(name)
	}
	v, ok := verbOf(name)
	if !ok {
		return nil, netproto.ErrUnknownCommand
	}
	if v.auth {
		if err := s.identified(); err != "" {
			return nil, err
		}
	}
	return v.do(s, r, out)
}

// upper returns word in upper case, in buf, or nil if it does not fit: then it is
// no word that we know.
func upper(buf, word []byte) []byte {
	if len(word) > len(buf) {
		return nil
	}
	for i, c := range word {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		buf[i] = c
	}
	return buf[:len(word)]
}

// maxReply is how much may wait to be written before the client has to read.
const maxReply = 16 << 10

// answer takes bytes from the client and makes d.out the replies. It returns what it
// did not look at yet: it stops when much is to be written and when s.wants says
// that something else has to happen first.
func (s *session) answer(d *desk, p []byte) (rest []byte) {
	lex := &d.lex
	if s.begun != nil {
		lex = s.begun
	}
	d.out = d.out[:0]
	heard := false
	for len(p) > 0 && len(d.out) < maxReply && s.wants == wantNothing {
		n, done, err := lex.Feed(p)
		p = p[n:]
		if err != nil {
			s.broken(lex, err)
			return nil
		}
		if done {
			heard = true
			d.out = s.do(lex, d.out)
		}
	}
	if heard {
		s.hear()
	}
	if !lex.Idle() {
		s.begin(d)
	} else if s.begun != nil {
		s.begun = nil
	}
	if s.wants != wantNothing {
		s.keep(p)
		p = nil
	}
	return p
}

// begin keeps a request of which only a part has come. That is rare enough for idle
// clients not to need the space all the time.
func (s *session) begin(d *desk) {
	if s.begun == nil {
		s.begun = new(words.Lexer)
		*s.begun, d.lex = d.lex, words.Lexer{}
	}
}

// broken is what happens to a line that is none: as in C there is no reply, and what
// came with it is not looked at.
func (s *session) broken(lex *words.Lexer, err error) {
	if !s.told {
		s.told = true
		s.server.log.Debug("a client sent a broken line", "client", s, "error", err)
	}
	lex.Reset()
	s.begun = nil
}

// keep is what happens to what came behind a request that something else has to
// follow. Whatever came behind LOGOUT or, in clear, behind STARTTLS is never done.
func (s *session) keep(p []byte) {
	if s.wants == wantProof || s.wants == wantPush {
		s.left = bytes.Clone(p)
	}
}

// hear notes that the client said something.
func (s *session) hear() { s.heardAt.Store(int64(time.Since(s.server.epoch))) }

// last returns when the client last said something.
func (s *session) last() time.Time { return s.server.epoch.Add(time.Duration(s.heardAt.Load())) }

// address returns the client's address without port, as LIST CLIENT shows it.
func (s *session) address() string {
	switch a := s.conn.RemoteAddr().(type) {
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap().WithZone("").String()
	case *net.UnixAddr:
		if s.peer.known {
			return "unix:" + s.peer.name()
		}
		return "unix"
	default:
		return a.String()
	}
}

// LogValue is how a client is named in the log; it is made only for lines that are
// written.
func (s *session) LogValue() slog.Value { return slog.StringValue(s.address()) }

// remark logs something that the client does wrong. Every host has so many lines
// only, for one client must not fill a disk.
func (s *session) remark(text string, args ...any) {
	ok, last := s.server.guard.remark(s.host, time.Now())
	if !ok {
		return
	}
	s.server.log.Warn(text, append([]any{"client", s}, args...)...)
	if last {
		s.server.log.Warn("no more is said of this host for now", "client", s)
	}
}

// run serves the client until it leaves, says nothing for too long or does not
// read what it asked for.
func (s *session) run(ctx context.Context) {
	defer s.end()
	s.server.log.Debug("client connected", "client", s)
	err := s.serve(ctx)
	if err != nil && !isEnd(err) {
		s.server.log.Debug("client disconnected", "client", s, "error", err)
	}
}

// serve lets the conversation run and does what it has to be interrupted for.
func (s *session) serve(ctx context.Context) error {
	for {
		if left := s.left; left != nil {
			s.left = nil
			if err := s.turn(left, s.write); err != nil {
				return err
			}
		}
		if s.wants == wantNothing {
			if err := s.converse(); err != nil {
				return err
			}
		}
		want := s.wants
		s.wants = wantNothing
		switch want {
		case wantProof:
			if err := s.proveSlowly(ctx); err != nil {
				return err
			}
		case wantPush:
			s.fulfil(s.wish)
		case wantTLS:
			if err := s.encrypt(ctx); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// end logs the client out and closes its connection.
func (s *session) end() {
	if s.login != nil {
		s.login.logout(s)
		if l, ok := s.lost(time.Now()); ok {
			s.login.miss(l)
			s.server.log.Info("lost a client that was logged in; its host is waited for", "client", s, "user", s.user, "ups", s.login.name, "until", l.until.Format(time.TimeOnly))
		}
	}
	s.stream.Close()
	s.endFeed()
	s.server.forget(s)
}
