// Package passwd is how upsd.users may keep a password without holding it: as a
// bcrypt hash. It makes and checks hashes and is the program "nut passwd" that
// prints one; it neither reads nor writes upsd.users.
//
// bcrypt and not a hash that needs much memory: upsd runs on small routers, and a
// flood of guesses must not take their memory.
package passwd

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

// MaxLen is the longest password in bytes; bcrypt looks at no more.
const MaxLen = 72

// Cost is how much work a new hash is: 2 to the power of it, some 50 ms.
const Cost = 10

// Hash returns what upsd.users may hold in place of the password. A password that
// no client could send is refused.
func Hash(password string) (string, error) {
	switch {
	case password == "":
		return "", errors.New("the password is empty")
	case len(password) > MaxLen:
		return "", fmt.Errorf("the password has %d bytes; at most %d count", len(password), MaxLen)
	}
	for i := range len(password) {
		if c := password[i]; c < ' ' || c > 0x7F {
			return "", fmt.Errorf("byte %d of the password is none of ASCII's printable characters; NUT's protocol cannot carry it", i+1)
		}
	}
	h, err := bcrypt.GenerateFromPassword([]byte(password), Cost)
	return string(h), err
}

// IsHash reports whether what upsd.users holds is a hash and not the password
// itself.
func IsHash(stored string) bool {
	if len(stored) != 60 || !strings.HasPrefix(stored, "$2") {
		return false
	}
	_, err := bcrypt.Cost([]byte(stored))
	return err == nil
}

// MaxCost is the most work that is done for a hash. One that wants more is nobody's:
// it would keep everybody else waiting.
const MaxCost = 14

// Check returns what is wrong with what upsd.users holds, nil if nothing is.
func Check(stored string) error {
	if !IsHash(stored) {
		if likeHash.MatchString(stored) {
			return errors.New("it looks like a hash, but not like one of nut passwd, and is taken for the password itself")
		}
		return nil
	}
	if cost, _ := bcrypt.Cost([]byte(stored)); cost > MaxCost { // IsHash has looked at it
		return fmt.Errorf("its hash wants 2 to the power of %d steps, which is too much work (%d is the most), and matches no password; make one with nut passwd", cost, MaxCost)
	}
	return nil
}

// likeHash matches what programs store in place of passwords. The grammar of
// upsd.users ends a word at '='.
var likeHash = regexp.MustCompile(`^\$[0-9a-z]+\$.|^\$argon2`)

// Matches reports whether hash, of which IsHash is true, is the password's. It
// takes as long as the hash was made to take.
func Matches(hash, password string) bool {
	if cost, err := bcrypt.Cost([]byte(hash)); err != nil || cost > MaxCost {
		return false
	}
	return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
}
