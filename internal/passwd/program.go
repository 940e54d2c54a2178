package passwd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"gonut/internal/program"
)

// Program is "nut passwd".
func Program() program.Program {
	return program.Program{Name: "passwd", Summary: "hash a password for upsd.users", Run: run}
}

func run(_ context.Context, e program.Env) error {
	if len(e.Args) > 1 {
		if e.Args[1] == "-h" || e.Args[1] == "--help" {
			usage(e.Stdout)
			return nil
		}
		usage(e.Stderr)
		return program.Exit(2)
	}
	password, err := ask(e)
	if err != nil {
		return err
	}
	hash, err := Hash(password)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.Stdout, "password = %s\n", hash)
	return nil
}

func usage(w io.Writer) {
	fmt.Fprint(w, `usage: nut passwd
Asks for a password, or reads it from standard input, and prints the line for a
section of upsd.users that holds its hash. Clients give the password as ever.
`)
}

// ask reads the password: twice and unseen from a terminal, else one line.
func ask(e program.Env) (string, error) {
	f, ok := e.Stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		line, err := bufio.NewReader(e.Stdin).ReadString('\n')
		if err != nil && (err != io.EOF || line == "") {
			return "", fmt.Errorf("read password from standard input: %w", err)
		}
		return strings.TrimRight(line, "\r\n"), nil
	}
	first, err := unseen(e, f, "Password: ")
	if err != nil {
		return "", err
	}
	again, err := unseen(e, f, "Again: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", errors.New("the two differ; nothing printed")
	}
	return first, nil
}

func unseen(e program.Env, f *os.File, prompt string) (string, error) {
	fmt.Fprint(e.Stderr, prompt)
	p, err := term.ReadPassword(int(f.Fd()))
	fmt.Fprintln(e.Stderr)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	return string(p), nil
}
