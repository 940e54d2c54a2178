package upsd

import "gonut/internal/netproto"

// setUser answers USERNAME. As in C any name is taken; whether it is known shows
// only in what it may do.
func (s *session) setUser(r request, out []byte) ([]byte, netproto.Error) {
	if r.Len() != 2 {
		return nil, netproto.ErrInvalidArgument
	}
	if s.hasUser {
		s.server.log.Info("a client gave a second user name", "client", s.host(), "user", s.user)
		return nil, netproto.ErrAlreadySetUsername
	}
	s.user, s.hasUser = string(r.Bytes(1)), true
	s.prove()
	return appendLine(out, netproto.OK), ""
}

// setPassword answers PASSWORD.
func (s *session) setPassword(r request, out []byte) ([]byte, netproto.Error) {
	if r.Len() != 2 {
		return nil, netproto.ErrInvalidArgument
	}
	if s.hasPass {
		s.server.log.Info("a client gave a second password", "client", s.host(), "user", s.user)
		return nil, netproto.ErrAlreadySetPassword
	}
	s.password, s.hasPass = string(r.Bytes(1)), true
	s.prove()
	return appendLine(out, netproto.OK), ""
}

// prove looks at the pair of name and password as soon as both are there, so that
// a wrong one is logged at once. The protocol answers OK nevertheless.
func (s *session) prove() {
	if s.hasUser && s.hasPass && s.who() == nil {
		s.server.log.Warn("wrong user name or password", "client", s.host(), "user", s.user)
	}
}

// who returns the account that the client has proved to be, nil if none. It looks
// again after the users have changed.
func (s *session) who() *account {
	all := s.server.accounts.Load()
	if s.proved != all {
		s.account, s.proved = all.find(s.user, s.password), all
	}
	return s.account
}

// may reports whether the client's user has the action.
func (s *session) may(action string) bool {
	a := s.who()
	if a != nil && a.may(action) {
		return true
	}
	s.server.log.Debug("refused", "client", s.host(), "user", s.user, "action", action)
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
		s.server.log.Info("a client logged in twice", "client", s.host(), "user", s.user, "ups", s.login.name)
		return nil, netproto.ErrAlreadyLoggedIn
	}
	d, err := s.named(r)
	if err != "" {
		return nil, err
	}
	if !s.may("LOGIN") {
		return nil, netproto.ErrAccessDenied
	}
	d.login(s)
	s.login = d
	s.server.log.Info("logged in", "client", s.host(), "user", s.user, "ups", d.name, "tls", s.tls)
	return appendLine(out, netproto.OK), ""
}

func (s *session) logOut(r request, out []byte) ([]byte, netproto.Error) {
	if r.Len() != 1 {
		return nil, netproto.ErrInvalidArgument
	}
	if s.login != nil {
		s.server.log.Info("logged out", "client", s.host(), "user", s.user, "ups", s.login.name, "tls", s.tls)
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
	s.server.log.Warn("forced shutdown set", "client", s.host(), "user", s.user, "ups", d.name)
	d.setFSD()
	return appendLine(out, netproto.FSDSet), ""
}

func (s *session) startTLS(_ request, out []byte) ([]byte, netproto.Error) {
	switch {
	case s.tls:
		return nil, netproto.ErrAlreadySSLMode
	default:
		return nil, netproto.ErrFeatureNotConfigured
	}
}
