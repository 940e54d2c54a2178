package upsclient

import (
	"errors"
	"fmt"

	"gonut/internal/netproto"
)

// An Error is a refusal, named by the word that the server sent after ERR. It is
// a string type; words that are not listed here are passed on as well.
type Error = netproto.Error

// The refusals that servers send. Each may be compared with errors.Is.
const (
	ErrAccessDenied         = netproto.ErrAccessDenied
	ErrAlreadyLoggedIn      = netproto.ErrAlreadyLoggedIn
	ErrAlreadySetPassword   = netproto.ErrAlreadySetPassword
	ErrAlreadySetUsername   = netproto.ErrAlreadySetUsername
	ErrAlreadySSLMode       = netproto.ErrAlreadySSLMode
	ErrCmdNotSupported      = netproto.ErrCmdNotSupported
	ErrDataStale            = netproto.ErrDataStale
	ErrDriverNotConnected   = netproto.ErrDriverNotConnected
	ErrFailed               = netproto.ErrFailed // the result of a tracked request
	ErrFeatureNotConfigured = netproto.ErrFeatureNotConfigured
	ErrFeatureNotSupported  = netproto.ErrFeatureNotSupported
	ErrInstcmdFailed        = netproto.ErrInstcmdFailed
	ErrInvalidArgument      = netproto.ErrInvalidArgument
	ErrInvalidValue         = netproto.ErrInvalidValue
	ErrPasswordRequired     = netproto.ErrPasswordRequired
	ErrReadOnly             = netproto.ErrReadOnly
	ErrSetFailed            = netproto.ErrSetFailed
	ErrTooLong              = netproto.ErrTooLong
	ErrUnknown              = netproto.ErrUnknown // likewise, and a bare ERR
	ErrUnknownCommand       = netproto.ErrUnknownCommand
	ErrUnknownUPS           = netproto.ErrUnknownUPS
	ErrUsernameRequired     = netproto.ErrUsernameRequired
	ErrVarNotSupported      = netproto.ErrVarNotSupported
)

// An Op is what a connection failed at.
type Op string

// The ways in which a connection fails.
const (
	OpConnect Op = "connect to"
	OpSend    Op = "send to"
	OpReceive Op = "receive from"
)

// A ConnError reports that a connection could not be made or was lost. Err is
// io.EOF if the server closed it, os.ErrDeadlineExceeded if it was silent for too
// long, and the context's error if that ended first.
type ConnError struct {
	Op   Op
	Addr string
	Err  error
}

func (e *ConnError) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.Addr, e.Err) }

// Unwrap returns the cause.
func (e *ConnError) Unwrap() error { return e.Err }

// Timeout reports whether the server was only too slow.
func (e *ConnError) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.Err, &t) && t.Timeout()
}

// A TLSError reports that a connection could not be protected as demanded. An
// Error inside means that the server does not offer TLS.
type TLSError struct {
	Addr string
	Err  error
}

func (e *TLSError) Error() string { return fmt.Sprintf("start TLS with %s: %v", e.Addr, e.Err) }

// Unwrap returns nil if the server refused, so that a TLSError is never taken for
// a refusal that leaves the connection usable; otherwise the cause.
func (e *TLSError) Unwrap() error {
	if e.Refused() {
		return nil
	}
	return e.Err
}

// Refused reports whether the server said that it does not offer TLS.
func (e *TLSError) Refused() bool {
	_, ok := e.Err.(Error)
	return ok
}

// A ProtocolError reports an answer that does not fit its request.
type ProtocolError struct {
	Addr    string
	Request string // without secrets
	Reply   string // the line at fault, or how it begins
	Problem string
}

func (e *ProtocolError) Error() string {
	return fmt.Sprintf("understand %s: answer %q to %q: %s", e.Addr, e.Reply, e.Request, e.Problem)
}
