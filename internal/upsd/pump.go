package upsd

import (
	"errors"
	"os"
	"time"
)

// writeTimeout is how long a client may take to accept what it asked for.
const writeTimeout = 10 * time.Second

var errIdle = errors.New("silent for too long")

// talk reads requests and writes replies until the session ends.
func (s *session) talk() error {
	return s.converse()
}

// converse is talk on any connection.
func (s *session) converse() error {
	buf := make([]byte, 512)
	var out []byte
	for {
		if err := s.conn.SetReadDeadline(s.last.Add(idleTimeout)); err != nil {
			return err
		}
		n, err := s.conn.Read(buf)
		for p := buf[:n]; len(p) > 0; {
			p, out = s.answer(p, out[:0])
			if err := s.write(out); err != nil {
				return err
			}
		}
		switch {
		case s.wants == wantClose:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return errIdle
		case err != nil:
			return err
		}
	}
}

// write sends replies. A client that does not take them in time is cut off.
func (s *session) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := s.conn.Write(p)
	return err
}
