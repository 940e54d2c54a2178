package conf

// builtinUser is the account that root's daemons become where nothing names
// another: Debian's, unless the linker was told otherwise.
var builtinUser = "nut"

// DefaultUser returns the account that a daemon which was started by root becomes
// where neither its options nor its configuration name one.
func DefaultUser() string { return builtinUser }
