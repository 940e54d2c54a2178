package upsd

import (
	"context"
	"net"
	"time"

	"gonut/internal/hostaccess"
	"gonut/internal/netproto"
)

// setUser answers USERNAME. As in C any name is taken; whether it is known shows
// only in what it may do.
func (s *session) setUser(r request, out []byte) ([]byte, netproto.Error) {
	if r.Len() != 2 {
		return nil, netproto.ErrInvalidArgument
	}
	if s.hasUser {
		s.server.log.Debug("a client gave a second user name", "client", s, "user", s.user)
		return nil, netproto.ErrAlreadySetUsername
	}
	s.user, s.hasUser = string(r.Bytes(1)), true
	return s.introduced(out), ""
}

// setPassword answers PASSWORD.
func (s *session) setPassword(r request, out []byte) ([]byte, netproto.Error) {
	if r.Len() != 2 {
		return nil, netproto.ErrInvalidArgument
	}
	if s.hasPass {
		s.server.log.Debug("a client gave a second password", "client", s, "user", s.user)
		return nil, netproto.ErrAlreadySetPassword
	}
	s.password, s.hasPass = string(r.Bytes(1)), true
	return s.introduced(out), ""
}

// introduced looks at the pair of name and password as soon as both are there, so
// that a wrong one is counted and logged at once, though the protocol answers OK.
// A look that takes time has to wait until this turn is over.
func (s *session) introduced(out []byte) []byte {
	if s.hasUser && s.hasPass {
		if !s.server.guard.calm(s.host, s.user, time.Now()) || !s.server.accounts.Load().quick(s.user, s.password) {
			s.wants = wantProof
			return out
		}
		s.prove()
	}
	return appendLine(out, netproto.OK)
}

func (s *session) prove() {
	s.account, s.proved = nil, nil // whoever the peer is, it has taken a name now
	if s.who() == nil {
		n := s.server.guard.mistaken(s.host, s.user, time.Now())
		s.server.log.Warn("wrong user name or password", "client", s, "user", s.user, "times", n)
	}
}

// proveSlowly looks at a pair of name and password when it is the host's turn, and
// answers.
func (s *session) proveSlowly(ctx context.Context) error {
	d, ok := s.server.guard.wait(s.host, s.user, time.Now())
	if !ok {
		return errGuessing
	}
	if d > 0 {
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.prove()
	s.hear()
	return s.write([]byte(netproto.OK + "\n"))
}

// identified returns what a client lacks for commands that need a user, empty if
// nothing. Who is known by the kernel needs no name; who is kept out by
// hosts.allow and hosts.deny gets no further.
func (s *session) identified() netproto.Error {
	switch {
	case !s.hasUser && !s.hasPass && s.who() != nil:
		return ""
	case !s.hasUser:
		return netproto.ErrUsernameRequired
	case !s.hasPass:
		return netproto.ErrPasswordRequired
	}
	if a := s.host.addr; a.IsValid() {
		full, _ := s.conn.RemoteAddr().(*net.TCPAddr)
		ours, _ := s.conn.LocalAddr().(*net.TCPAddr)
		who := hostaccess.Client{Addr: full.AddrPort().Addr(), Local: ours.AddrPort().Addr(), User: s.user}
		if !s.server.access.current(s.server.log).Admits(who) {
			s.remark("kept out by hosts.allow and hosts.deny", "user", s.user)
			return netproto.ErrAccessDenied
		}
	}
	return ""
}

// who returns the account that the client has proved to be, nil if none. It looks
// again after the users have changed.
func (s *session) who() *account {
	all := s.server.accounts.Load()
	if s.proved == all {
		return s.account
	}
	s.account, s.proved = nil, all
	switch {
	case s.hasUser && s.hasPass:
		s.account = all.find(s.user, s.password)
	case !s.hasUser && !s.hasPass && s.peer.known && len(all.byPeer) > 0:
		s.account = all.peer(s.peer)
	}
	return s.account
}

// may reports whether the client's user has the action.
func (s *session) may(action string) bool {
	a := s.who()
	if a != nil && a.may(action) {
		return true
	}
	s.server.log.Debug("refused", "client", s, "user", s.user, "action", action)
	return false
}

// named finds the device that is the only argument of a request.
func (s *session) named(r request) (*device, netproto.Error) {
	if r.Len() != 2 {
		return nil, netproto.ErrInvalidArgument
	}
	d := s.server.device(r.Bytes(1))
	if d == nil {
		return nil, netproto.ErrUnknownUPS
	}
	return d, ""
}

func (s *session) logIn(r request, out []byte) ([]byte, netproto.Error) {
	if r.Len() == 2 && s.login != nil {
		s.remark("a client logged in twice", "user", s.user, "ups", s.login.name)
		return nil, netproto.ErrAlreadyLoggedIn
	}
	d, err := s.named(r)
	if err != "" {
		return nil, err
	}
	if !s.may("LOGIN") {
		// Clients like to go on as if nothing had happened, and the host is not
		// waited for when it comes to the end.
		s.remark("a client may not log in, so nothing will wait for its host; it needs \"upsmon primary\" or \"upsmon secondary\" in upsd.users, and the right password", "user", s.user, "ups", d.name)
		return nil, netproto.ErrAccessDenied
	}
	d.login(s)
	s.login = d
	s.counted.Store(true)
	s.server.log.Info("logged in", "client", s, "user", s.user, "ups", d.name, "tls", s.tls)
	return appendLine(out, netproto.OK), ""
}

func (s *session) logOut(r request, out []byte) ([]byte, netproto.Error) {
	if r.Len() != 1 {
		return nil, netproto.ErrInvalidArgument
	}
	if s.login != nil {
		s.server.log.Info("logged out", "client", s, "user", s.user, "ups", s.login.name, "tls", s.tls)
		s.login.logout(s)
		s.login = nil
	}
	s.wants = wantClose
	return appendLine(out, netproto.Goodbye), ""
}

func (s *session) primary(r request, out []byte) ([]byte, netproto.Error) {
	return s.grantPrimary(r, out, netproto.PrimaryGranted)
}

func (s *session) master(r request, out []byte) ([]byte, netproto.Error) {
	return s.grantPrimary(r, out, netproto.MasterGranted)
}

func (s *session) grantPrimary(r request, out []byte, granted string) ([]byte, netproto.Error) {
	if _, err := s.named(r); err != "" {
		return nil, err
	}
	if !s.may("PRIMARY") && !s.may("MASTER") {
		return nil, netproto.ErrAccessDenied
	}
	return appendLine(out, granted), ""
}

// forceShutdown answers FSD. The latch works for devices without a driver too.
func (s *session) forceShutdown(r request, out []byte) ([]byte, netproto.Error) {
	d, err := s.named(r)
	if err != "" {
		return nil, err
	}
	if !s.may("FSD") {
		return nil, netproto.ErrAccessDenied
	}
	s.server.log.Warn("forced shutdown set", "client", s, "user", s.user, "ups", d.name)
	d.setFSD()
	return appendLine(out, netproto.FSDSet), ""
}
