//go:build !linux

package upsd

// converse serves the client until something else has to happen.
func (s *session) converse() error { return s.converseOver() }
