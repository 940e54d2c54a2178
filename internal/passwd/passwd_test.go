package passwd

import (
	"context"
	"strings"
	"testing"

	"gonut/internal/conf"
	"gonut/internal/program"
)

func TestHash(t *testing.T) {
	const password = `pass "w#rd\ =`
	h, err := Hash(password)
	if err != nil {
		t.Fatal(err)
	}
	if !IsHash(h) || !Matches(h, password) || Matches(h, password+"x") || Matches(h, "") {
		t.Errorf("Hash(%q) = %s does not tell it from others", password, h)
	}
	if again, _ := Hash(password); again == h {
		t.Error("two hashes of one password are the same: no salt")
	}
}

func TestHashRefuses(t *testing.T) {
	for _, p := range []string{"", strings.Repeat("x", MaxLen+1), "tab\t", "umlaut ä"} {
		if h, err := Hash(p); err == nil {
			t.Errorf("Hash(%q) = %s; want an error", p, h)
		}
	}
}

func TestIsHash(t *testing.T) {
	for stored, want := range map[string]bool{
		"secret": false, "$2a$10$short": false, "": false,
		"$2a$10$" + strings.Repeat("a", 53): true,
		"$2y$04$" + strings.Repeat("/", 53): true,
		"$2a$99$" + strings.Repeat("a", 53): false,
		"$1a$10$" + strings.Repeat("a", 53): false,
		"$2a$xx$" + strings.Repeat("a", 53): false,
	} {
		if got := IsHash(stored); got != want {
			t.Errorf("IsHash(%q) = %v; want %v", stored, got, want)
		}
	}
}

// What looks like a hash and is none, or one that nobody can afford, is said.
func TestCheck(t *testing.T) {
	dear := "$2a$31$" + strings.Repeat("a", 53)
	for stored, want := range map[string]string{
		"secret": "", "$5": "", "pa$$word$": "", "": "",
		"$2a$10$" + strings.Repeat("a", 53): "",
		"$2a$10$short":                      "looks like a hash",
		"$argon2id$v":                       "looks like a hash",
		"$6$salt$hash":                      "looks like a hash",
		dear:                                "too much work",
	} {
		err := Check(stored)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("Check(%q) = %v; want %q", stored, err, want)
		}
	}
	if Matches(dear, "x") { // and at once
		t.Errorf("Matches(%q) = true", dear)
	}
}

// What the program prints can be pasted into upsd.users.
func TestProgram(t *testing.T) {
	var out, errs strings.Builder
	e := program.Env{Args: []string{"passwd"}, Stdin: strings.NewReader("se cret\r\n"), Stdout: &out, Stderr: &errs}
	if err := Program().Run(context.Background(), e); err != nil {
		t.Fatal(err)
	}
	users, problems, err := conf.ParseUsers("upsd.users", strings.NewReader("[u]\n"+out.String()))
	if err != nil || len(problems) > 0 || len(users) != 1 {
		t.Fatalf("upsd.users with %q: %v %v", out.String(), problems, err)
	}
	if !Matches(string(users[0].Password), "se cret") {
		t.Errorf("%q is not the hash of the password", out.String())
	}
	if strings.Contains(out.String()+errs.String(), "cret") {
		t.Error("the password was printed")
	}
	e.Stdin = strings.NewReader("")
	if err := Program().Run(context.Background(), e); err == nil {
		t.Error("no error for an empty standard input")
	}
}
