package clients

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"strings"
	"syscall"

	"golang.org/x/term"

	"gonut/internal/conf"
)

// errNoInput is what a prompt gets when standard input has ended.
var errNoInput = errors.New("error reading from stdin")

// readLine reads one line of standard input, a byte at a time so that the next
// reader finds the rest.
func (c *call) readLine() (string, error) {
	var line strings.Builder
	one := make([]byte, 1)
	for {
		n, err := c.Stdin.Read(one)
		switch {
		case n > 0 && one[0] == '\n':
			return strings.TrimSuffix(line.String(), "\r"), nil
		case n > 0:
			line.WriteByte(one[0])
		case err == io.EOF && line.Len() > 0:
			return line.String(), nil
		case err != nil:
			return "", errNoInput
		}
	}
}

// ask prints a question and reads a line.
func (c *call) ask(question string) (string, error) {
	fmt.Fprint(c.Stdout, question)
	c.buf.Flush()
	return c.readLine()
}

// askSecret asks without showing what is typed.
func (c *call) askSecret(question string) (conf.Secret, error) {
	fmt.Fprint(c.Stderr, question)
	f, ok := c.Stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		line, err := c.readLine()
		return conf.Secret(line), err
	}
	b, err := readUnseen(int(f.Fd()))
	fmt.Fprintln(c.Stderr)
	return conf.Secret(b), err
}

// readUnseen reads a line from a terminal that does not show what is typed. It
// gives the terminal its echo back even if the user breaks off.
func readUnseen(fd int) ([]byte, error) {
	before, err := term.GetState(fd)
	if err != nil {
		return nil, errNoInput
	}
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(broken)
	var b []byte
	typed := make(chan error, 1)
	go func() { // reading cannot be interrupted; it ends with the program
		var err error
		b, err = term.ReadPassword(fd)
		typed <- err
	}()
	select {
	case err := <-typed:
		if err != nil {
			return nil, errNoInput
		}
		return b, nil
	case <-broken:
		term.Restore(fd, before)
		return nil, errors.New("interrupted")
	}
}

// loginName is the name of the user who runs the program.
func (c *call) loginName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return c.Getenv("USER")
}

// A login is who we are to the server.
type login struct {
	user         string
	password     conf.Secret
	haveUser     bool
	havePassword bool
}

// complete finds what the options did not say: both from nutauth.conf if it has
// both and neither was given, otherwise from the user.
func (l *login) complete(c *call, a conf.Auth) error {
	if !l.haveUser && !l.havePassword && a.Username != "" && a.HasPassword {
		l.user, l.password = a.Username, a.Password
		return nil
	}
	if !l.haveUser {
		def := c.loginName()
		name, err := c.ask(fmt.Sprintf("Username (%s): ", def))
		if err != nil {
			return err
		}
		if name == "" {
			name = def
		}
		l.user = name
	}
	if !l.havePassword {
		password, err := c.askSecret("Password: ")
		if err != nil {
			return err
		}
		l.password = password
	}
	return nil
}
