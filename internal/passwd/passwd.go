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

// Matches reports whether hash, of which IsHash is true, is the password's. It
// takes as long as the hash was made to take.
func Matches(hash, password string) bool {
	return bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)) == nil
}
