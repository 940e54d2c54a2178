// Package program is the shape of a program: what it is called, what it is given
// and how it ends. The one binary holds many programs; tests run them in process.
// It neither exits the process nor touches its arguments, streams or environment.
package program

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
)

// A Program is one name under which the binary can be called.
type Program struct {
	Name    string
	Summary string // one line for the list of programs
	Aliases []string
	// Run does the program's work until it is done or ctx ends. An *ExitError
	// chooses the exit code, any other error means 1, and both are printed.
	Run func(ctx context.Context, e Env) error
}

// An Env is everything a program may touch of the process that it runs in.
type Env struct {
	Args           []string // Args[0] is the name we were called by
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	// Listen and Dial open connections. Within one process those of driver
	// sockets (network "unix") may be memory.
	Listen func(ctx context.Context, network, addr string) (net.Listener, error)
	Dial   func(ctx context.Context, network, addr string) (net.Conn, error)
}

// An ExitError ends a program with Code. A nil Err prints nothing.
type ExitError struct {
	Code int
	Err  error
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return "exit status " + strconv.Itoa(e.Code)
	}
	return e.Err.Error()
}

func (e *ExitError) Unwrap() error { return e.Err }

// Exit returns an error that ends the program with code and prints nothing.
func Exit(code int) error { return &ExitError{Code: code} }

// Exitf returns an error that ends the program with code after printing a message.
func Exitf(code int, format string, args ...any) error {
	return &ExitError{Code: code, Err: fmt.Errorf(format, args...)}
}

// Code prints what err has to say to w and returns the exit code it stands for.
func Code(err error, w io.Writer) int {
	if err == nil {
		return 0
	}
	code := 1
	var exit *ExitError
	if errors.As(err, &exit) {
		code = exit.Code
		if exit.Err == nil {
			return code
		}
	}
	fmt.Fprintln(w, err)
	return code
}
