// Package netproto is the vocabulary of upsd's network protocol, version 1.3: its
// verbs, error words and reply lines. It does no I/O and keeps no state; sessions
// live in package upsd, connections in package upsclient.
package netproto

import (
	"strings"

	"gonut/internal/words"
)

// Version is what NETVER answers.
const Version = "1.3"

// Port is the port that IANA assigned to the protocol.
const Port = "3493"

// MaxValue is the longest value in bytes, escapes included, that a reply carries.
const MaxValue = 255

// An Error is an error word of the protocol; it is the Go error on both sides of
// the wire.
type Error string

func (e Error) Error() string { return string(e) }

// The error words that upsd sends.
const (
	ErrAccessDenied         Error = "ACCESS-DENIED"
	ErrUnknownUPS           Error = "UNKNOWN-UPS"
	ErrVarNotSupported      Error = "VAR-NOT-SUPPORTED"
	ErrCmdNotSupported      Error = "CMD-NOT-SUPPORTED"
	ErrInvalidArgument      Error = "INVALID-ARGUMENT"
	ErrInstcmdFailed        Error = "INSTCMD-FAILED"
	ErrSetFailed            Error = "SET-FAILED"
	ErrReadOnly             Error = "READONLY"
	ErrTooLong              Error = "TOO-LONG"
	ErrInvalidValue         Error = "INVALID-VALUE"
	ErrFeatureNotSupported  Error = "FEATURE-NOT-SUPPORTED"
	ErrFeatureNotConfigured Error = "FEATURE-NOT-CONFIGURED"
	ErrAlreadySSLMode       Error = "ALREADY-SSL-MODE"
	ErrAlreadyLoggedIn      Error = "ALREADY-LOGGED-IN"
	ErrAlreadySetPassword   Error = "ALREADY-SET-PASSWORD"
	ErrAlreadySetUsername   Error = "ALREADY-SET-USERNAME"
	ErrDriverNotConnected   Error = "DRIVER-NOT-CONNECTED"
	ErrDataStale            Error = "DATA-STALE"
	ErrUsernameRequired     Error = "USERNAME-REQUIRED"
	ErrPasswordRequired     Error = "PASSWORD-REQUIRED"
	ErrUnknownCommand       Error = "UNKNOWN-COMMAND"
	ErrUnknown              Error = "UNKNOWN" // only as the result of a tracked request
	ErrFailed               Error = "FAILED"  // likewise
)

// Texts of replies that scripts and clients compare.
const (
	OK               = "OK"
	Goodbye          = "OK Goodbye"
	PrimaryGranted   = "OK PRIMARY-GRANTED"
	MasterGranted    = "OK MASTER-GRANTED"
	FSDSet           = "OK FSD-SET"
	StartTLS         = "OK STARTTLS"
	TrackingPrefix   = "OK TRACKING "
	NoDescription    = "Description unavailable" // of variables, commands and LIST UPS
	NoUPSDescription = "Unavailable"             // of GET UPSDESC
)

// Answers of GET TRACKING.
const (
	TrackingOn      = "ON"
	TrackingOff     = "OFF"
	TrackingPending = "PENDING"
	TrackingSuccess = "SUCCESS"
)

// A Result is what a driver says of a request that it was given: the number of a
// TRACKING line on the driver socket.
type Result int

// The results that drivers know.
const (
	Pending          Result = -1
	Handled          Result = 0
	Unknown          Result = 1
	Invalid          Result = 2
	Failed           Result = 3
	ConversionFailed Result = 4
)

// Reply returns what GET TRACKING answers for the result.
func (r Result) Reply() string {
	switch r {
	case Pending:
		return TrackingPending
	case Handled:
		return TrackingSuccess
	case Invalid, ConversionFailed:
		return "ERR " + string(ErrInvalidArgument)
	case Failed:
		return "ERR " + string(ErrFailed)
	}
	return "ERR " + string(ErrUnknown)
}

// AppendError appends the line that reports e.
func AppendError(dst []byte, e Error) []byte {
	dst = append(dst, "ERR "...)
	dst = append(dst, e...)
	return append(dst, '\n')
}

// AppendRow appends a reply line of head words, sent as they are, and one quoted
// value of at most MaxValue bytes.
func AppendRow(dst []byte, value string, head ...string) []byte {
	for _, w := range head {
		dst = append(dst, w...)
		dst = append(dst, ' ')
	}
	return append(AppendValue(dst, value), '\n')
}

// AppendValue appends value quoted and cut to MaxValue bytes.
func AppendValue(dst []byte, value string) []byte {
	dst = append(dst, '"')
	dst = words.AppendEscaped(dst, value, MaxValue)
	return append(dst, '"')
}

// ParseError returns the error that a reply line reports, nil if it reports none.
// One that does not say which is ErrUnknown.
func ParseError(line string) error {
	rest, ok := strings.CutPrefix(line, "ERR")
	if !ok || rest != "" && rest[0] != ' ' {
		return nil
	}
	word, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	if word == "" {
		return ErrUnknown
	}
	return Error(word)
}
