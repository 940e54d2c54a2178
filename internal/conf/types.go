// Package conf reads every configuration file of NUT into typed, checked values.
// Parsers take bytes and a name and return a value, warnings and an error, each
// with file and line; they open nothing (ReadFile does that for them) and keep
// nothing. What a value means is decided by the program that asked for it.
package conf

import (
	"strconv"
	"time"
)

// A Secret is text that is never printed or logged.
type Secret string

// String hides the text from every format verb.
func (Secret) String() string { return "***" }

// GoString hides the text from %#v.
func (Secret) GoString() string { return "***" }

// A UPSConf is ups.conf.
type UPSConf struct {
	File     string    // its path
	Global   []Setting // the lines before the first section, in order
	Sections []Section // in order; a name occurs once, the last spelling of a line wins
}

// A Section is one device of ups.conf.
type Section struct {
	Name     string
	Line     int
	Settings []Setting // in order
}

// A Setting is one line of ups.conf: a flag or a value.
type Setting struct {
	Name  string // as written
	Value string
	Flag  bool // no '=' was there
	Line  int
}

// A UPSD is upsd.conf. Zero values of durations and numbers are never used: the
// parser fills in C's defaults.
type UPSD struct {
	MaxAge               time.Duration // 15 s
	TrackingDelay        time.Duration // 1 h
	AllowNoDevice        bool
	AllowNotAllListeners bool
	StatePath            string // empty: the built-in one
	DataPath             string // empty: the built-in one
	Listen               []Listen
	MaxConn              int // 0: no limit of its own
	MaxConnPerHost       int // clients from one address; 0: the built-in limit
	CompatGoNUT          bool
	CertFile             string
	CertPath             string
	CertIdentName        string
	CertIdentPassword    Secret
	CertRequest          int // 0 no, 1 request, 2 require
	DisableWeakSSL       bool
	DebugMin             int // -1: not set
}

// A Listen is one LISTEN line.
type Listen struct {
	Addr string // "*", a name or an address
	Port string // "3493" if the line has none
	Line int
}

// Users is upsd.users.
type Users []User

// A User may do what its section grants.
type User struct {
	Name     string
	Password Secret
	HasPass  bool     // without a password a user is never authorised
	Actions  []string // upper case: SET, FSD, LOGIN, PRIMARY, MASTER
	Instcmds []string // as written; "ALL" in any case means every one
	Peers    []string // accounts of this host that are this user on a unix socket
	Line     int
}

// A Monitor is one MONITOR line of upsmon.conf.
type Monitor struct {
	System     string // as written: upsname[@host[:port]]; the ups' identity everywhere
	PowerValue int
	User       string
	Password   Secret
	Primary    bool
	Line       int
}

// A NotifyFlag says where notifications of a type go.
type NotifyFlag uint8

// The flags of NOTIFYFLAG. Ignore beats the others.
const (
	NotifySyslog NotifyFlag = 1 << iota
	NotifyWall
	NotifyExec
	NotifyIgnore
)

// A UPSMon is upsmon.conf, with C's defaults where the file is silent.
type UPSMon struct {
	Monitors            []Monitor
	MinSupplies         int
	PollFreq            time.Duration
	PollFreqAlert       time.Duration
	PollFailLogThrottle int
	DeadTime            time.Duration
	HostSync            time.Duration
	FinalDelay          time.Duration
	NoCommWarnTime      time.Duration
	RBWarnTime          time.Duration
	OffDuration         time.Duration // negative: never
	OverDuration        time.Duration // negative: never
	OBLBDuration        time.Duration
	AlarmCritical       bool
	ShutdownCmd         []string
	// ShutdownExit is how long upsmon lingers after the shutdown was requested:
	// 0 not at all, negative until it is told to end.
	ShutdownExit  time.Duration
	PowerDownFlag string
	NotifyCmd     []string
	NotifyMsg     map[string]string     // by type in upper case; only those given
	NotifyFlag    map[string]NotifyFlag // likewise
	RunAsUser     string
	CertPath      string
	CertFile      string
	CertIdentName string
	CertIdentPass Secret
	CertHosts     []CertHost
	CertVerify    bool
	ForceSSL      bool
	DebugMin      int          // -1: not set
	Rules         MonitorRules // beyond NUT
}

// A CertHost is one CERTHOST line: the TLS rule of one server.
type CertHost struct {
	Host, Port string
	Name       string // what the certificate must be for
	Verify     int    // -1: as CERTVERIFY
	Force      int    // -1: as FORCESSL
	Line       int
}

// A NUTConf is nut.conf.
type NUTConf struct {
	Mode string            // none, standalone, netserver, netclient, …; "none" if the file is silent
	Vars map[string]string // every assignment of the file, Mode included
}

// A Problem is something in a file that its user should look at.
type Problem struct {
	File string
	Line int
	Text string
	// Section is the one of ups.conf that the line belongs to, whether it counts or
	// not; empty before the first.
	Section string
}

func (p Problem) String() string {
	if p.Line == 0 { // it concerns the whole file
		return p.File + ": " + p.Text
	}
	return p.File + ":" + strconv.Itoa(p.Line) + ": " + p.Text
}

// Error makes a Problem usable as the error of a file that cannot be used at all.
func (p Problem) Error() string { return p.String() }
