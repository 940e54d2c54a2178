package clients

import (
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"gonut/upsclient"
)

// labels are the texts that C's clients print for the server's refusals. Words that
// are not here are "Unknown error" there too.
func labels() map[upsclient.Error]string {
	return map[upsclient.Error]string{
		upsclient.ErrVarNotSupported:    "Variable not supported by UPS",
		upsclient.ErrUnknownUPS:         "Unknown UPS",
		upsclient.ErrAccessDenied:       "Access denied",
		upsclient.ErrPasswordRequired:   "Password required",
		upsclient.ErrUsernameRequired:   "Username required",
		upsclient.ErrDataStale:          "Data stale",
		upsclient.ErrDriverNotConnected: "Driver not connected",
		upsclient.ErrAlreadyLoggedIn:    "Already logged in",
		upsclient.ErrAlreadySetPassword: "Already set password",
		upsclient.ErrAlreadySetUsername: "Already set username",
		upsclient.ErrReadOnly:           "Read-only variable",
		upsclient.ErrTooLong:            "New value is too long",
		upsclient.ErrInvalidValue:       "Invalid value for variable",
		upsclient.ErrSetFailed:          "Set command failed",
		upsclient.ErrInstcmdFailed:      "Instant command failed",
		upsclient.ErrCmdNotSupported:    "Instant command not supported",
		upsclient.ErrUnknownCommand:     "Unknown command",
		"INVALID-USERNAME":              "Invalid username",
		"INVALID-PASSWORD":              "Invalid password",
	}
}

// label returns the text by which C's clients, and scripts that read them, know an
// error.
func label(err error) string {
	var refused upsclient.Error
	var noTLS *upsclient.TLSError
	var lost *upsclient.ConnError
	var strange *upsclient.ProtocolError
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
func connLabel(e *upsclient.ConnError) string {
	var dns *net.DNSError
	switch {
	case e.Op == upsclient.OpConnect && errors.As(e.Err, &dns):
		return "No such host"
	case e.Op == upsclient.OpConnect && e.Timeout():
		return "Connection failure: Connection timed out"
	case e.Op == upsclient.OpConnect:
		return "Connection failure: " + cause(e.Err)
	case e.Timeout(), errors.Is(e.Err, io.EOF):
		return "Server disconnected"
	case e.Op == upsclient.OpSend:
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
