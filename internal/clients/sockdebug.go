package clients

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"syscall"

	"gonut/internal/conf"
	"gonut/internal/program"
	"gonut/internal/words"
)

// SockDebug is sockdebug, which shows what a driver says on its socket.
func SockDebug() program.Program {
	return program.Program{
		Name:    "sockdebug",
		Summary: "talk to a driver on its socket and show what it says",
		Run:     runSockDebug,
	}
}

func runSockDebug(ctx context.Context, e program.Env) error {
	if len(e.Args) != 2 || e.Args[1] == "-h" || e.Args[1] == "--help" {
		fmt.Fprintf(e.Stderr, `usage: sockdebug SOCKET

Connects to a driver's socket, a path or a name in the state folder such as
dummy-ups-myups. Shows each record that the driver sends word by word and sends it
the lines of standard input, for example DUMPALL.
`)
		return nil
	}
	conn, err := dialDriver(ctx, e, e.Args[1])
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprintf(e.Stdout, "connected: fd %d\n", descriptor(conn))
	received := make(chan error, 1)
	sent := make(chan error, 1)
	go func() { received <- showRecords(e.Stdout, conn) }()
	go func() { sent <- sendLines(conn, e.Stdin) }()
	select {
	case err = <-sent:
		conn.Close()
		<-received
	case err = <-received: // the reader of standard input ends with the process
	case <-ctx.Done():
		conn.Close()
		<-received
		return nil
	}
	return err
}

// dialDriver connects to a path or, if that fails, a name in the state folder.
func dialDriver(ctx context.Context, e program.Env, name string) (net.Conn, error) {
	conn, err := e.Dial(ctx, "unix", name)
	if err != nil && !strings.ContainsAny(name, `/\`) {
		conn, err = e.Dial(ctx, "unix", filepath.Join(conf.FindPaths(e.Getenv).State, name))
	}
	if err != nil {
		return nil, fmt.Errorf("connect to driver: %w; is it running, and may this user enter the folder?", err)
	}
	return conn, nil
}

// descriptor is the file descriptor of a connection, which C's program prints; -1
// if it has none.
func descriptor(conn net.Conn) int {
	n := -1
	if c, ok := conn.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			raw.Control(func(fd uintptr) { n = int(fd) })
		}
	}
	return n
}

// showRecords prints what the driver sends.
func showRecords(w io.Writer, conn net.Conn) error {
	var lex words.Lexer
	buf := make([]byte, words.MaxWord)
	for {
		n, err := conn.Read(buf)
		for rest := buf[:n]; len(rest) > 0; {
			used, done, problem := lex.Feed(rest)
			rest = rest[used:]
			switch {
			case problem != nil:
				fmt.Fprintf(w, "Parse error: [%v]\n", problem)
			case done:
				fmt.Fprintf(w, "numarg=%d : ", lex.Len())
				for i := range lex.Len() {
					fmt.Fprintf(w, "[%s] ", lex.Bytes(i))
				}
				fmt.Fprintln(w)
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return errors.New("the driver has closed the connection")
		case err != nil:
			return fmt.Errorf("read from driver: %w", err)
		}
	}
}

// sendLines sends what the user types as it is.
func sendLines(conn net.Conn, stdin io.Reader) error {
	r := bufio.NewReader(stdin)
	for {
		line, err := r.ReadString('\n')
		if _, werr := io.WriteString(conn, line); werr != nil {
			return fmt.Errorf("send to driver: %w", werr)
		}
		switch {
		case errors.Is(err, io.EOF):
			return errors.New("standard input has ended")
		case err != nil:
			return fmt.Errorf("read standard input: %w", err)
		}
	}
}
