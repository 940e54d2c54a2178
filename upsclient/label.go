package upsclient

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
)

// labels are the texts that C's clients print for the server's refusals. Words that
// are not here are "Unknown error" there too.
func labels() map[Error]string {
	return map[Error]string{
		ErrVarNotSupported:    "Variable not supported by UPS",
		ErrUnknownUPS:         "Unknown UPS",
		ErrAccessDenied:       "Access denied",
		ErrPasswordRequired:   "Password required",
		ErrUsernameRequired:   "Username required",
		ErrDataStale:          "Data stale",
		ErrDriverNotConnected: "Driver not connected",
		ErrAlreadyLoggedIn:    "Already logged in",
		ErrAlreadySetPassword: "Already set password",
		ErrAlreadySetUsername: "Already set username",
		ErrReadOnly:           "Read-only variable",
		ErrTooLong:            "New value is too long",
		ErrInvalidValue:       "Invalid value for variable",
		ErrSetFailed:          "Set command failed",
		ErrInstcmdFailed:      "Instant command failed",
		ErrCmdNotSupported:    "Instant command not supported",
		ErrUnknownCommand:     "Unknown command",
		"INVALID-USERNAME":    "Invalid username",
		"INVALID-PASSWORD":    "Invalid password",
	}
}

// Label returns the text by which C's clients, and scripts that read them, know an
// error of this package.
func Label(err error) string {
	var refused Error
	var noTLS *TLSError
	var lost *ConnError
	var strange *ProtocolError
	switch {
	case errors.As(err, &noTLS) && noTLS.Refused():
		return "SSL is not available"
	case errors.As(err, &noTLS):
		return "SSL error: " + noTLS.Err.Error()
	case errors.As(err, &refused):
		if text, ok := labels()[refused]; ok {
			return text
		}
		return "Unknown error"
	case errors.As(err, &lost):
		return connLabel(lost)
	case errors.As(err, &strange):
		return "Protocol error"
	}
	return err.Error()
}

// connLabel is the label of a connection that failed.
func connLabel(e *ConnError) string {
	var dns *net.DNSError
	switch {
	case e.Op == OpConnect && errors.As(e.Err, &dns):
		return "No such host"
	case e.Op == OpConnect && e.Timeout():
		return "Connection failure: Connection timed out"
	case e.Op == OpConnect:
		return "Connection failure: " + cause(e.Err)
	case e.Timeout(), errors.Is(e.Err, io.EOF):
		return "Server disconnected"
	case e.Op == OpSend:
		return "Write error: " + cause(e.Err)
	}
	return "Read error: " + cause(e.Err)
}

// cause is the system's reason, spelled as C's library does.
func cause(err error) string {
	var number syscall.Errno
	text := err.Error()
	if errors.As(err, &number) {
		text = number.Error()
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
