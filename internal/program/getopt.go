package program

import (
	"fmt"
	"strings"
)

// An Option is one option letter as it was given, with its argument if it takes
// one.
type Option struct {
	Letter byte
	Arg    string
}

// Getopt splits args (without the program's name) into options and operands as
// POSIX getopt does with a leading '+': parsing stops at the first operand or
// after "--". optstring lists the letters; a colon after one means that it takes
// an argument; a leading '+' changes nothing. On an error the options before it are
// returned too.
func Getopt(args []string, optstring string) (opts []Option, operands []string, err error) {
	optstring = strings.TrimPrefix(optstring, "+")
	for len(args) > 0 {
		a := args[0]
		if a == "--" {
			return opts, args[1:], nil
		}
		if len(a) < 2 || a[0] != '-' {
			break
		}
		args = args[1:]
		for i := 1; i < len(a); i++ {
			c := a[i]
			at := strings.IndexByte(optstring, c)
			if at < 0 || c == ':' {
				return opts, args, fmt.Errorf("invalid option -- '%c'", c)
			}
			if at+1 == len(optstring) || optstring[at+1] != ':' {
				opts = append(opts, Option{Letter: c})
				continue
			}
			arg := a[i+1:]
			if arg == "" {
				if len(args) == 0 {
					return opts, args, fmt.Errorf("option requires an argument -- '%c'", c)
				}
				arg, args = args[0], args[1:]
			}
			opts = append(opts, Option{Letter: c, Arg: arg})
			break
		}
	}
	return opts, args, nil
}
