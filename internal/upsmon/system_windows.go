package upsmon

import "gonut/internal/conf"

// shell runs a line of text as C's system() does.
var shell = [...]string{"cmd.exe", "/C"}

// defaultFlags are for types that NOTIFYFLAG does not mention.
const defaultFlags = conf.NotifySyslog

// wallProgram writes to all terminals: there is none.
const wallProgram = ""
