package upsd

import (
	"errors"
	"os"
	"time"

	"gonut/internal/words"
)

// Times of a conversation.
const (
	idleTimeout  = 60 * time.Second // without a complete record, as in C
	writeTimeout = 10 * time.Second // for a client to accept what it asked for
)

var errIdle = errors.New("silent for too long")

// A desk is what one turn of a conversation needs. Sessions have one only while
// they have something to do, so that many idle ones need little memory.
type desk struct {
	lex words.Lexer // between two requests
	out []byte
	in  [4096]byte
}

// maxKept is the size of the largest out that is kept for another turn.
const maxKept = 64 << 10

func (s *Server) desk() *desk {
	if d, ok := s.desks.Get().(*desk); ok {
		return d
	}
	return new(desk)
}

func (s *Server) putDesk(d *desk) {
	if cap(d.out) <= maxKept {
		s.desks.Put(d)
	}
}

// converseOver reads requests from any connection and writes replies, until
// something else has to happen (s.wants) or the client is gone.
func (s *session) converseOver() error {
	// Nobody knows when the next request comes, so this buffer stays; it is small.
	buf := make([]byte, 512)
	for {
		if err := s.stream.SetReadDeadline(s.last().Add(idleTimeout)); err != nil {
			return err
		}
		n, err := s.stream.Read(buf)
		if err := s.turn(buf[:n], s.write); err != nil {
			return err
		}
		switch {
		case s.wants != wantNothing:
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return errIdle
		case err != nil:
			return err
		}
	}
}

// turn answers what has been read.
func (s *session) turn(p []byte, write func([]byte) error) error {
	if len(p) == 0 {
		return nil
	}
	d := s.server.desk()
	defer s.server.putDesk(d)
	for len(p) > 0 {
		p = s.answer(d, p)
		if len(d.out) == 0 {
			continue
		}
		if err := write(d.out); err != nil {
			return err
		}
	}
	return nil
}

// write sends whole lines. A client that does not take them in time is cut off.
func (s *session) write(p []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.send(p)
}

// send is write for a caller that holds s.mu.
func (s *session) send(p []byte) error {
	if err := s.stream.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := s.stream.Write(p)
	return err
}
