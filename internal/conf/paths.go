package conf

import "path/filepath"

// The built-in folders, Debian's unless the linker was told otherwise:
//
//	go build -ldflags "-X gonut/internal/conf.builtinConfPath=/usr/local/ups/etc"
var (
	builtinConfPath  = "/etc/nut"
	builtinStatePath = "/run/nut"
	builtinPIDPath   = "/run"
	builtinDrivers   = "/lib/nut"
)

// Paths are the folders that a program works with.
type Paths struct {
	Conf   string // configuration files
	State  string // driver sockets
	PID    string // PID files of root's daemons: upsmon, upslog
	AltPID string // PID files of upsd and drivers, and of upsmon when not root
	// Drivers holds the driver programs, unless driverpath in ups.conf says otherwise.
	Drivers string
	// StateByEnv says that the environment chose State; it then beats the files.
	StateByEnv bool
}

// FindPaths returns the folders that the environment chooses with NUT_CONFPATH,
// NUT_STATEPATH, NUT_PIDPATH and NUT_ALTPIDPATH, and the built-in ones otherwise.
func FindPaths(getenv func(string) string) Paths {
	pick := func(builtin string, names ...string) string {
		for _, n := range names {
			if v := getenv(n); v != "" {
				return v
			}
		}
		return builtin
	}
	return Paths{
		Conf:       pick(builtinConfPath, "NUT_CONFPATH"),
		State:      pick(builtinStatePath, "NUT_STATEPATH"),
		PID:        pick(builtinPIDPath, "NUT_PIDPATH"),
		AltPID:     pick(builtinStatePath, "NUT_ALTPIDPATH", "NUT_STATEPATH"),
		Drivers:    builtinDrivers,
		StateByEnv: getenv("NUT_STATEPATH") != "",
	}
}

// File returns the path of a configuration file.
func (p Paths) File(name string) string { return filepath.Join(p.Conf, name) }
