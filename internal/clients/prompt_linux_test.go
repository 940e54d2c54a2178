package clients

import (
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gonut/internal/program"
	"gonut/internal/transport/serial/ptytest"
)

// terminal returns both ends of a new pseudo-terminal.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, name := ptytest.Open(t)
	slave, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

func echoes(t *testing.T, f *os.File) bool {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return s.Lflag&unix.ECHO != 0
}

// awaitEcho waits until the terminal shows, or does not show, what is typed.
func awaitEcho(t *testing.T, f *os.File, want bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); echoes(t, f) != want; {
		if time.Now().After(deadline) {
			t.Fatalf("the terminal's echo is %v; want %v", !want, want)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestPasswordIsNotShown(t *testing.T) {
	master, slave := terminal(t)
	var stderr strings.Builder
	c := newCall(program.Env{Stdin: slave, Stdout: &stderr, Stderr: &stderr, Getenv: func(string) string { return "" }}, "upscmd", "")
	type answer struct {
		password string
		err      error
	}
	got := make(chan answer, 1)
	ask := func() {
		p, err := c.askSecret("Password: ")
		got <- answer{string(p), err}
	}
	go ask()
	awaitEcho(t, slave, false)
	if _, err := master.WriteString("secret\n"); err != nil {
		t.Fatal(err)
	}
	if a := <-got; a.password != "secret" || a.err != nil {
		t.Errorf("askSecret = %q, %v; want secret", a.password, a.err)
	}
	if !echoes(t, slave) || stderr.String() != "Password: \n" {
		t.Errorf("after it the terminal's echo is %v and %q was printed; want the echo back", echoes(t, slave), stderr.String())
	}

	go ask()
	awaitEcho(t, slave, false)
	if _, err := master.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	if a := <-got; a.password != "" || a.err != nil {
		t.Errorf("askSecret, just Enter = %q, %v; want an empty password", a.password, a.err)
	}

	go ask()
	awaitEcho(t, slave, false)
	if err := unix.Kill(os.Getpid(), unix.SIGINT); err != nil {
		t.Fatal(err)
	}
	if a := <-got; a.err == nil {
		t.Errorf("askSecret broken off = %q, nil; want an error", a.password)
	}
	awaitEcho(t, slave, true)
}
