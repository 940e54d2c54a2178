//go:build unix

package upsmon

import "gonut/internal/conf"

// shell runs a line of text as C's system() does.
var shell = [...]string{"/bin/sh", "-c"}

// defaultFlags are for types that NOTIFYFLAG does not mention.
const defaultFlags = conf.NotifySyslog | conf.NotifyWall

// wallProgram writes to all terminals.
const wallProgram = "wall"
