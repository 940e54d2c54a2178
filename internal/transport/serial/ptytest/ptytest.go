// Package ptytest makes pseudo-terminals for tests: serial lines with a far end that
// the test holds. Only tests import it, and only those for Linux.
package ptytest
