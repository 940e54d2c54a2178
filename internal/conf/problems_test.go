package conf

import (
	"io"
	"slices"
	"strings"
	"testing"
)

// parseAny reads text as the file of that name.
func parseAny(file, text string) (problems []Problem, err error) {
	r := strings.NewReader(text)
	switch file {
	case "ups.conf":
		_, problems, err = ParseUPSConf(file, r)
	case "upsd.conf":
		_, problems, err = ParseUPSD(file, r)
	case "upsd.users":
		_, problems, err = ParseUsers(file, r)
	case "upsmon.conf":
		_, problems, err = ParseUPSMon(file, r)
	case "upssched.conf":
		_, problems, err = ParseUPSSched(file, r)
	case "nut.conf":
		_, problems, err = ParseNUTConf(file, r)
	}
	return problems, err
}

// badLines is what every mistake that we know of is answered with: the text, then
// the messages. One that ends the program begins with "error: ".
var badLines = []struct {
	file, text string
	want       []string
}{
	// What all files of NUT's grammar have in common.
	{"ups.conf", "[a]\ndriver = x\nport = auto\ndesc = \"no # here\"\n", []string{
		`4: unbalanced word: '#' inside quotes needs a '\' before it; the line is ignored`}},
	{"ups.conf", "[a]\ndriver = x\nport = auto\ndesc\\\n = \"no # here\"\n", []string{
		`4: unbalanced word: '#' inside quotes needs a '\' before it; the word begins on line 5; the line is ignored`}},
	{"ups.conf", "[a]\ndriver = x\nport = auto\ndesc = \"Server room\n[b]\ndriver = y\n", []string{
		`4: the quote that opens here is never closed; all that follows in the file is part of that word`}},
	{"ups.conf", "[a]\ndriver = x\nport\\\n = \"auto\n[b]\ndriver = y\n", []string{
		`4: the quote that opens here is never closed; all that follows in the file is part of that word`}},
	{"ups.conf", "[a]\nport = auto\ndriver = \"x\n[b]\ndesc = \"y\"\n", []string{
		`3: the quoted text that opens here continues on the next line, without a blank in between; is a '"' missing?`,
		`3: ignored after driver: "y\""; text with blanks or '=' needs quotes`}},
	{"ups.conf", "[a]\ndriver = x\nport = auto\ndesc = \"Server\nroom\"\n", []string{
		`4: the quoted text that opens here continues on the next line, without a blank in between; is a '"' missing?`}},
	{"ups.conf", "[a]\ndriver = x\nport = auto\ndesc = \"Server \\\nroom\"\n", nil},
	{"ups.conf", "[a]\ndriver = x\nport = auto\ndesc = \"Büro\"\n", []string{
		`4: bytes dropped: 2; only printable ASCII is allowed, no tabs within quotes and no accented letters`}},
	{"upsd.users", "[a]\npassword = \"a\tb\"\n", []string{
		`2: bytes dropped: 1; only printable ASCII is allowed, no tabs within quotes and no accented letters`}},
	{"upsd.users", "[a]\npassword = pass#word\n[b] # fine\npassword = \"pass\\#word\" # fine\n", []string{
		`2: a '#' begins a comment; if it belongs to the word before it, put the word in quotes and write \#`}},
	{"upsmon.conf", "NOTIFYCMD " + strings.Repeat("x", 513) + "\n", []string{
		`1: the end is cut off: a word has at most 512 bytes and a line at most 32 words`}},
	{"upsmon.conf", "NOTIFYCMD" + strings.Repeat(" x", 32) + "\n", []string{
		`1: the end is cut off: a word has at most 512 bytes and a line at most 32 words`}},
	{"upsd.conf", "MAXAGE 1\nMAXAGE \"\n", []string{
		`2: the quote that opens here is never closed; all that follows in the file is part of that word`,
		`2: MAXAGE wants a number and not ""; the line is ignored`}},
	{"upsmon.conf", "SHUTDOWNCMD \"/sbin/shutdown -h +0\n", []string{
		`1: the quote that opens here is never closed; all that follows in the file is part of that word`}},

	// ups.conf
	{"ups.conf", "maxretries = 3\n", []string{
		`1: unknown setting maxretries before the first section; did you mean maxretry?`}},
	{"ups.conf", "ignorelb\nsdorder = 1\n", []string{
		`1: ignorelb means nothing before the first section`,
		`2: sdorder means nothing before the first section`}},
	{"ups.conf", "pollinterval = 0\nmaxretry = many\nsynchronous = maybe\ndebug_min = -1\nstatepath = \"\"\n", []string{
		`1: pollinterval wants a number from 1 on and not "0"`,
		`2: maxretry wants a number and not "many"`,
		`3: synchronous wants yes, no or auto and not "maybe"`,
		`4: debug_min wants a number from 0 on and not "-1"`,
		`5: statepath wants a folder and not ""`}},
	{"ups.conf", "DEBUG_MIN = 1\nStatePath = /x\n", nil},
	{"ups.conf", "nowait = no\nmaxretry\n", []string{
		`1: nowait is a flag and is on whatever its value says; to have it off, remove the line`,
		`2: maxretry wants a value: maxretry = …`}},
	{"ups.conf", "[a]\ndriver = x\nport = auto\nignorelb = no\nnolock = yes\nallow_killpower = 0\n", []string{
		`4: ignorelb is a flag and is on whatever its value says; to have it off, remove the line`,
		`5: nolock is a flag and is on whatever its value says; to have it off, remove the line`,
		`6: allow_killpower is a flag and is on whatever its value says; to have it off, remove the line`}},
	{"ups.conf", "[a]\ndriver = x\nport auto\nport = auto\ndesc = My UPS\ndesc =\nvendor \"x\" y\n", []string{
		`3: port: write port = value; the line is ignored`,
		`5: ignored after desc: "UPS"; text with blanks or '=' needs quotes`,
		`6: desc = has no value; the line is ignored`,
		`7: vendor: write vendor = value; the line is ignored`}},
	{"ups.conf", "[a]\nDriver = x\ndriver = x\nport = auto\nsddelay = 5\nnowait\n= x\n\"\"\n", []string{
		`2: Driver is not driver: the case of letters counts`,
		`5: sddelay does nothing any more; drivers use ondelay, offdelay and sdcommands`,
		`6: nowait belongs before the first section and does nothing here`,
		`7: the line begins with no name; it is ignored`,
		`8: the line begins with no name; it is ignored`}},
	{"ups.conf", "[my ups]\ndriver = x\nport = auto\n[b]extra\ndriver = x\n[b\n[c] d\ndriver = x\nport = auto\n", []string{
		`1: this is no section header, which is one word: [name] or "[my name]"; the lines below are ignored up to the next header`,
		`4: this is no section header, which is one word: [name] or "[my name]"; the lines below are ignored up to the next header`,
		`6: this is no section header, which is one word: [name] or "[my name]"; the lines below are ignored up to the next header`,
		`7: ignored after [c]: "d"; text with blanks or '=' needs quotes`}},
	{"ups.conf", "[]\ndriver = x\n[a@b]\ndriver = x\n[../a]\ndriver = x\n", []string{
		`1: [] cannot be the name of a ups: it must not be empty nor contain '@' or '/'; the lines below are ignored up to the next header`,
		`3: [a@b] cannot be the name of a ups: it must not be empty nor contain '@' or '/'; the lines below are ignored up to the next header`,
		`5: [../a] cannot be the name of a ups: it must not be empty nor contain '@' or '/'; the lines below are ignored up to the next header`}},
	{"ups.conf", "[a]\n[b]\ndriver = x\nport = auto\n", []string{
		`1: section [a] is empty and does not count; it needs driver = and port =`}},
	{"ups.conf", "[a]\ndriver = x\nport = \"\"\n", nil},
	{"ups.conf", "[a]\ndriver = x\nport\n", []string{
		`3: port wants a value: port = …`,
		`1: section [a] has no line port = …; upsd will not serve it`}},
	{"ups.conf", "[a]\ndriver = \"\"\nport = x\n", []string{
		`1: section [a] has no line driver = …; upsd will not serve it`}},
	{"ups.conf", "[a]\ndrivr = x\nPrt = y\n", []string{
		`1: section [a] has no line driver = … (is drivr on line 2 meant to be it?); upsd will not serve it`,
		`1: section [a] has no line port = … (is Prt on line 3 meant to be it?); upsd will not serve it`}},
	{"ups.conf", "[a]\ndesc = x\n", []string{
		`1: section [a] has no line driver = …; upsd will not serve it`,
		`1: section [a] has no line port = …; upsd will not serve it`}},
	{"ups.conf", "[ups]\ndriver = x\nport = auto\n[UPS]\ndriver = y\nport = auto\n", []string{
		`4: section [UPS] replaces [ups] of line 1: names that differ only in case are the same`}},

	// upsd.conf
	{"upsd.conf", "MAXAGEE 15\nmaxage 15\nLISTE 127.0.0.1\nfoo\n", []string{
		`1: unknown directive MAXAGEE; did you mean MAXAGE?; the line is ignored`,
		`2: unknown directive maxage; did you mean MAXAGE?; the line is ignored`,
		`3: unknown directive LISTE; did you mean LISTEN?; the line is ignored`,
		`4: unknown directive foo; the line is ignored`}},
	{"upsd.conf", "MAXAGE\nMAXAGE = 20\nMAXAGE x\nMAXAGE -1\nMAXAGE 20s\nMAXAGE 20 s\n", []string{
		`1: MAXAGE has no value; the line is ignored`,
		`2: MAXAGE takes its value without '='; the line is ignored`,
		`3: MAXAGE wants a number and not "x"; the line is ignored`,
		`4: MAXAGE wants a number and not "-1"; the line is ignored`,
		`5: MAXAGE: "20s" is read as 20`,
		`6: ignored after MAXAGE: "s"; text with blanks or '=' needs quotes`}},
	{"upsd.conf", "COMPAT go.nut gonut\n", []string{`1: COMPAT knows go.nut and not "gonut"; the word is ignored`}},
	{"upsd.conf", "TRACKINGDELAY never\nMAXCONN many\nMAXCONN 99999999999999999999\n", []string{
		`1: TRACKINGDELAY wants a number and not "never"; the line is ignored`,
		`2: MAXCONN wants a number and not "many"; the line is ignored`,
		`3: MAXCONN: "99999999999999999999" is read as 2147483647`}},
	{"upsd.conf", "ALLOW_NO_DEVICE ja\nALLOW_NOT_ALL_LISTENERS 2\nDISABLE_WEAK_SSL 2\nDEBUG_MIN x\nDebug_Min -3\n", []string{
		`1: ALLOW_NO_DEVICE wants yes or no and not "ja"; the line is ignored`,
		`3: DISABLE_WEAK_SSL wants yes or no and not "2"; the line is ignored`,
		`4: DEBUG_MIN wants a number from 0 on and not "x"; the line is ignored`,
		`5: Debug_Min wants a number from 0 on and not "-3"; the line is ignored`}},
	{"upsd.conf", "ACL all 0.0.0.0/0\nACCEPT all\nREJECT all\n", []string{
		`1: ACL does nothing any more; use LISTEN and a firewall`,
		`2: ACCEPT does nothing any more; use LISTEN and a firewall`,
		`3: REJECT does nothing any more; use LISTEN and a firewall`}},
	{"upsd.conf", "CERTIDENT name\nCERTIDENT /CN=x pw\n", []string{
		`1: CERTIDENT wants 2 values and has 1; the line is ignored`,
		`2: ignored after CERTIDENT: "x pw"; text with blanks or '=' needs quotes`,
		`2: CERTIDENT: the name /CN ends before '='; a name with '=' needs quotes`}},
	{"upsd.conf", "CERTREQUEST 3\n", []string{`error: 1: CERTREQUEST wants NO, REQUEST or REQUIRE (0, 1 or 2) and not "3"`}},
	{"upsd.conf", "CERTREQUEST require\n", []string{`error: 1: CERTREQUEST wants NO, REQUEST or REQUIRE (0, 1 or 2) and not "require"`}},
	{"upsd.conf", "LISTEN * 3493 tcp\nLISTEN localhost nut\n", []string{
		`1: ignored after LISTEN: "tcp"; text with blanks or '=' needs quotes`}},
	{"upsd.conf", "MAXAGE x\nLISTEN * 83493\n", []string{
		`1: MAXAGE wants a number and not "x"; the line is ignored`,
		`error: 2: LISTEN: there is no port "83493"; it is a number up to 65535, 3493 if left out`}},
	{"upsd.conf", "LISTEN * -1\n", []string{`error: 1: LISTEN: there is no port "-1"; it is a number up to 65535, 3493 if left out`}},
	{"upsd.conf", "LISTEN * 99999999999999999999\n", []string{`error: 1: LISTEN: there is no port "99999999999999999999"; it is a number up to 65535, 3493 if left out`}},
	{"upsd.conf", "LISTEN * \"\"\n", []string{`error: 1: LISTEN: there is no port ""; it is a number up to 65535, 3493 if left out`}},
	{"upsd.conf", "LISTEN 127.0.0.1:3493\n", []string{`error: 1: LISTEN wants address and port as two words: LISTEN 127.0.0.1 3493`}},
	{"upsd.conf", "LISTEN [::1]\n", []string{`error: 1: LISTEN takes an IPv6 address without brackets: LISTEN ::1`}},
	{"upsd.conf", "LISTEN run/upsd.sock\n", []string{`error: 1: LISTEN: the path of a unix socket begins with '/', and run/upsd.sock does not`}},
	{"upsd.conf", "LISTEN 192.0.2.300\n", []string{`error: 1: LISTEN: 192.0.2.300 is no IPv4 address, which is four numbers up to 255: 192.0.2.1`}},
	{"upsd.conf", "LISTEN nas-1.example.com\nLISTEN 4.example\nLISTEN fd00::1\nLISTEN /run/upsd.sock 3493\n", []string{
		`4: ignored after LISTEN: "3493"; text with blanks or '=' needs quotes`}},
	{"upsd.conf", "MAXAGE 0\n", []string{`1: MAXAGE 0: data count as stale as soon as a driver says nothing for a second`}},
	{"upsd.conf", "LISTEN \"\"\n", []string{`error: 1: LISTEN wants an address, a host's name or * and has an empty word`}},

	// upsd.users
	{"upsd.users", "user old pw ip\n[a]\npassword = p\n", []string{
		`1: user lines are a form that is gone; write [name] and below it password = …; the line is ignored`}},
	{"upsd.users", "actions = SET\nupsmon primary\n[a]\npassword = p\n", []string{
		`1: actions: a line before the first section grants nothing`,
		`2: upsmon: a line before the first section grants nothing`}},
	{"upsd.users", "[a]\npassword = p\n[b]\npassword = q\n[a]\nactions = SET\n[c]\npassword = r\n", []string{
		`5: user [a] has a section on line 1 already; this one is ignored`,
		`6: actions: a line of the ignored section grants nothing`}},
	{"upsd.users", "[a]\npassword = p\n[my user]\nactions = SET\n", []string{
		`3: this is no section header, which is one word: [name] or "[my name]"; the lines below are ignored up to the next header`,
		`4: actions: a line of the ignored section grants nothing`}},
	{"upsd.users", "[a]\nactions = SET\n", []string{
		`1: user [a] has no password and can never be authorised; add password = …`}},
	{"upsd.users", "[a]\npassword = p q\npassword = r\n[b]\npassword = \"\"\n", []string{
		`2: the password of [a] is only the first of 2 words; one with blanks or '=' needs quotes`,
		`3: user [a] has a password already; the line is ignored`,
		`5: the password of [b] is empty`}},
	{"upsd.users", "[a]\npassword = p\nactions = set FSC\nactions SET\nactions\nactions =\nactions = SET,FSD\nactions = everything\n", []string{
		`3: unknown action "FSC"; did you mean FSD?`,
		`4: actions: write actions = …; the line is ignored`,
		`5: actions has no value; the line is ignored`,
		`6: actions has no value; the line is ignored`,
		`7: actions are separated by blanks; "SET,FSD" grants nothing`,
		`8: unknown action "everything"`}},
	{"upsd.users", "[a]\npassword = p\ninstcmds = a,b\ninstcmd = ALL\nupsmom primary\nallowfrom = x\nnonsense = x\n", []string{
		`3: instcmds are separated by blanks; "a,b" matches no command`,
		`4: unknown setting instcmd; did you mean instcmds?; the line is ignored`,
		`5: upsmom: write upsmom = …; the line is ignored`,
		`6: allowfrom does nothing any more; use LISTEN in upsd.conf and a firewall`,
		`7: unknown setting nonsense; the line is ignored`}},
	{"upsd.users", "[a]\npassword = p\nupsmon prmary\nupsmon\nupsmon = master\n", []string{
		`3: upsmon is primary or secondary and not "prmary"; did you mean primary?; it grants nothing`,
		`4: upsmon has no value; the line is ignored`}},
	{"upsd.users", "[a]\npassword = p\nupsmon secondary primary\nupsmon = secondary prmary\n", []string{
		`3: ignored after upsmon: "primary"; text with blanks or '=' needs quotes`,
		`4: upsmon is primary or secondary and not "prmary"; did you mean primary?; it grants nothing`}},

	// upsmon.conf
	{"upsmon.conf", "MONITR a@b 1 u p primary\nPOLFREQ 5\nMonitor a@b 1 u p primary\n", []string{
		`1: unknown directive MONITR; did you mean MONITOR?; the line is ignored`,
		`2: unknown directive POLFREQ; did you mean POLLFREQ?; the line is ignored`,
		`3: unknown directive Monitor; did you mean MONITOR?; the line is ignored`}},
	{"upsmon.conf", "MINSUPPLIES 1\nMONITOR a@b 1 pass master\n", []string{
		`error: 2: this MONITOR line has no user; the form is MONITOR ups@host powervalue user password primary|secondary`}},
	{"upsmon.conf", "MONITOR a@b 1 u\nMONITOR a@b\nMONITOR\n", []string{
		`1: MONITOR wants 5 values (ups@host powervalue user password primary|secondary) and has 3; the line is ignored`,
		`2: MONITOR wants 5 values (ups@host powervalue user password primary|secondary) and has 1; the line is ignored`,
		`3: MONITOR has no value; the line is ignored`}},
	{"upsmon.conf", "MONITOR a@b 1 u my pass primary\n", []string{
		`1: MONITOR has 1 words too many; a password with blanks or '=' needs quotes`,
		`1: MONITOR: "pass" is neither primary nor secondary; secondary is assumed`}},
	{"upsmon.conf", "MONITOR a 1 u p primary\nMONITOR a@LocalHost:3493 1 u p primary\nMONITOR a@[::1] 1 u p primary\nMONITOR a@localhost:3494 1 u p primary\nMONITOR A 1 u p primary\nMONITOR a@h 1 u p primary\n", []string{
		`2: MONITOR: a@LocalHost:3493 is the UPS of line 1 by another name: this host logs in to it twice, counts its power value twice and waits for itself`,
		`3: MONITOR: a@[::1] is the UPS of line 1 by another name: this host logs in to it twice, counts its power value twice and waits for itself`,
		`3: MONITOR: a@[::1] is the UPS of line 2 by another name: this host logs in to it twice, counts its power value twice and waits for itself`}},
	{"upsmon.conf", "MONITOR a@b one u p primary\nMONITOR b@b -1 u p primary\nMONITOR c@b 4294967296 u p primary\nMONITOR d@b 2x u p primary\n", []string{
		`1: MONITOR: the power value "one" is no number and is read as 0`,
		`2: MONITOR: the power value -1 is out of range; the line is ignored`,
		`3: MONITOR: the power value 4294967296 is out of range; the line is ignored`,
		`4: MONITOR: the power value "2x" is no number and is read as 2`}},
	{"upsmon.conf", "SHUTDOWNCMD \"\"\nNOTIFYCMD \" \"\n", []string{
		`1: SHUTDOWNCMD is empty; the line is ignored`,
		`2: NOTIFYCMD is empty; the line is ignored`}},
	{"upsmon.conf", "MONITOR a@b 1 u p primry\nMONITOR a@b 1 u p primary\nMONITOR @b 1 u p primary\nMONITOR c@b:x 1 u p primary\n", []string{
		`1: MONITOR: "primry" is neither primary nor secondary; did you mean primary?; secondary is assumed`,
		`2: MONITOR: a@b is monitored by line 1 already; the line is ignored`,
		`3: MONITOR: read address "@b": the name of the ups is missing; it can never be reached and supplies nothing`,
		`4: MONITOR: read address "c@b:x": the port must be a number from 1 to 65535; it can never be reached and supplies nothing`}},
	{"upsmon.conf", "MINSUPPLIES -1\nMINSUPPLIES x\nPOLLFREQ 0\nPOLLFREQALERT -1\nFINALDELAY -5\nPOLLFREQ = 5\nDEADTIME\n", []string{
		`1: MINSUPPLIES must not be negative; the line is ignored`,
		`2: MINSUPPLIES wants a number and not "x"; the line is ignored`,
		`3: POLLFREQ 0 would poll without a pause; 1 second is used`,
		`4: POLLFREQALERT must not be negative; the line is ignored`,
		`5: FINALDELAY must not be negative; the line is ignored`,
		`6: POLLFREQ takes its value without '='; the line is ignored`,
		`7: DEADTIME has no value; the line is ignored`}},
	{"upsmon.conf", "POLLFAIL_LOG_THROTTLE_MAX -2\nALARMCRITICAL 2\nFORCESSL yes\nCERTVERIFY 7\nDEBUG_MIN -1\n", []string{
		`1: POLLFAIL_LOG_THROTTLE_MAX -2 is out of range; every failure is logged`,
		`2: ALARMCRITICAL is 0 or 1; 2 counts as 0`,
		`3: FORCESSL wants a number and not "yes"; the line is ignored`,
		`4: CERTVERIFY is 0 or 1; 7 counts as 0`,
		`5: DEBUG_MIN wants a number from 0 on and not "-1"; the line is ignored`}},
	{"upsmon.conf", "SHUTDOWNEXIT maybe\nSHUTDOWNEXIT 5 6\n", []string{
		`1: SHUTDOWNEXIT wants yes, no or seconds and not "maybe"; yes is assumed`,
		`2: ignored after SHUTDOWNEXIT: "6"; text with blanks or '=' needs quotes`}},
	{"upsmon.conf", "NOTIFYCMD \"/bin/notify me\"\nNOTIFYCMD /bin/notify --to=root\n", []string{
		`1: NOTIFYCMD: "/bin/notify me" is taken for the name of one program, blanks included; write its arguments as words of their own`,
		`2: NOTIFYCMD: an '=' outside quotes makes words of its own; quote arguments like "--name=value"`}},
	{"upsmon.conf", "SHUTDOWNCMD \"/sbin/shutdown -h +0\"\nSHUTDOWNCMD /sbin/halt --force=yes\n", []string{
		`2: SHUTDOWNCMD: an '=' outside quotes makes words of its own; quote arguments like "--name=value"`}},
	{"upsmon.conf", "NOTIFYMSG ONBAT \"x\"\nNOTIFYMSG onbatt UPS on battery\nNOTIFYMSG ONBATT\nNOTIFYMSG WHATEVER x\n", []string{
		`1: NOTIFYMSG: there is no notification ONBAT; did you mean ONBATT?; the line is ignored`,
		`2: ignored after NOTIFYMSG: "on battery"; text with blanks or '=' needs quotes`,
		`3: NOTIFYMSG wants 2 values and has 1; the line is ignored`,
		`4: NOTIFYMSG: there is no notification WHATEVER; the line is ignored`}},
	{"upsmon.conf", "NOTIFYFLAG ONLINE SYSLOG+WALL+EXE\nNOTIFYFLAG ONBATT syslog\nNOTIFYFLAG LOWBAT SYSLOG\nNOTIFYFLAG FSD SYSLOG WALL\n", []string{
		`1: NOTIFYFLAG ONLINE: unknown flag EXE; did you mean EXEC?`,
		`2: NOTIFYFLAG ONBATT: unknown flag syslog; did you mean SYSLOG?`,
		`2: NOTIFYFLAG ONBATT: no flag is left, so it goes nowhere; write IGNORE if that is meant`,
		`3: NOTIFYFLAG: there is no notification LOWBAT; did you mean LOWBATT?; the line is ignored`,
		`4: ignored after NOTIFYFLAG: "WALL"; text with blanks or '=' needs quotes`}},
	{"upsmon.conf", "CERTHOST h n 1\nCERTHOST h n 1 yes\nCERTHOST h:x n 1 1\nCERTHOST h n 5 1\nCERTHOST h:3493 n 1 1\n", []string{
		`1: CERTHOST wants 4 values and has 3; the line is ignored`,
		`2: CERTHOST wants a number and not "yes"; the line is ignored`,
		`3: CERTHOST: read address "h:x": the port must be a number from 1 to 65535; the line is ignored`,
		`4: CERTHOST: its last two values are 1 (yes), 0 (no) or -1 (as for all hosts); 5 counts as -1`,
		`5: CERTHOST: h has a rule on line 4 already; the line is ignored`}},
	{"upsmon.conf", "RUN_AS_USER\nPOWERDOWNFLAG /etc/kill power\nCERTIDENT a\n", []string{
		`1: RUN_AS_USER has no value; the line is ignored`,
		`2: ignored after POWERDOWNFLAG: "power"; text with blanks or '=' needs quotes`,
		`3: CERTIDENT wants 2 values and has 1; the line is ignored`}},

	// upssched.conf
	{"upssched.conf", "CMDSCRIPT s\nPIPEFN p\nAT ONBATT * EXECUTE x\n", []string{
		`error: 3: LOCKFN must be set above the first AT line`}},
	{"upssched.conf", "PIPEFN p\nLOCKFN l\nAT ONBATT * EXECUTE x\nCMDSCRIPT s\n", []string{
		`error: 3: CMDSCRIPT must be set above the first AT line`}},
	{"upssched.conf", "CMDSCRIPT s\nPIPEFN \"\"\nLOCKFN l\nAT ONBATT * EXECUTE x\n", []string{
		`error: 4: PIPEFN must be set above the first AT line`}},
	{"upssched.conf", "CMDSCRPT s\nAT\nAT ONBATT * START-TIMER\nPIPEFN = p\nCMDSCRIPT \"s -v\"\n", []string{
		`1: unknown directive CMDSCRPT; did you mean CMDSCRIPT?; the line is ignored`,
		`2: AT has no value; the line is ignored`,
		`3: AT wants 4 values and has 3; the line is ignored`,
		`4: PIPEFN takes its value without '='; the line is ignored`,
		`5: CMDSCRIPT: "s -v" has blanks; write a program's arguments as words of their own, outside the quotes`}},
	{"upssched.conf", "CMDSCRIPT s\nPIPEFN p\nLOCKFN l\nAT ONBATT * START-TIMR t 5\nAT ONBATT * start-timer t 5\nAT ONBATT * EXECUTE \"\"\nAT ONBATT * EXECUTE a b\n" +
		"AT ONLINE * CANCEL-TIMER t x y\nAT ONBATT * START-TIMER t\nAT ONBATT * START-TIMER t soon\nAT ONBATT * START-TIMER t 3OO\nAT ONBATT * START-TIMER t -5\n", []string{
		`4: AT: there is no command START-TIMR; did you mean START-TIMER?; the line is ignored`,
		`5: AT: there is no command start-timer; did you mean START-TIMER?; the line is ignored`,
		`6: AT … EXECUTE has an empty name; the line is ignored`,
		`7: ignored after AT: "b"; text with blanks or '=' needs quotes`,
		`8: ignored after AT: "y"; text with blanks or '=' needs quotes`,
		`9: AT … START-TIMER t has no seconds; the timer ends at once`,
		`10: AT wants a number and not "soon"; the line is ignored`,
		`11: AT: "3OO" is read as 3`,
		`12: AT … START-TIMER t: a timer of -5 seconds never starts`}},

	// nut.conf
	{"nut.conf", "MODE = standalone\nMODE= standalone\nMODE =standalone\n", []string{
		`1: no blanks are allowed around '='; the line is ignored`,
		`2: no blanks are allowed around '='; the line is ignored`,
		`3: no blanks are allowed around '='; the line is ignored`}},
	{"nut.conf", "# x\r\n\r\nMODE=none\r\nSITE=x\r\n", []string{
		`3: the line ends with a carriage return, which shells take for a part of it; write the file with the line ends of Unix`}},
	{"nut.conf", "MODE=none\nUPSD_OPTIONS=\"-D # c\\\n\n", []string{
		`2: the quote that opens here is never closed; the line is ignored`}},
	{"nut.conf", "# a comment\nMODE=netservr\n", []string{
		`2: MODE is one of none, standalone, netserver, netclient, controlled, manual and not "netservr"; did you mean netserver?; none is assumed`}},
	{"nut.conf", "MODE=none # nothing yet\nMOD=none\n2=3\nhello\nexport MODE=standalone\n", []string{
		`1: MODE: a comment behind a value becomes part of it for service managers; give it a line of its own`,
		`2: MOD means nothing to NUT; did you mean MODE?`,
		`3: this is no assignment NAME=value; the line is ignored`,
		`4: this is no assignment NAME=value; the line is ignored`,
		`5: export is for shells only; service managers ignore the line`}},
	{"nut.conf", "UPSD_OPTIONS=-D -F\nUPSMON_OPTIONS=$OPTS\nMODE=none; rm x\n", []string{
		`1: UPSD_OPTIONS: ignored behind the value: "-F"; a value with blanks needs quotes`,
		`2: UPSMON_OPTIONS: variables and commands are not expanded here; write the value itself`,
		`3: MODE: ignored behind the value: "; rm x"; a value with blanks needs quotes`}},
	{"nut.conf", "MODE=none\nUPSD_OPTIONS=\"-D\nUPSMON_OPTIONS=-D\n", []string{
		`2: the quote that opens here is never closed; the line is ignored`}},
	{"nut.conf", "A='\n" + strings.Repeat("# x\n", 3000), []string{
		`1: the quote that opens here is never closed; the text up to line 1025 is ignored`,
	}},
}

func TestBadLines(t *testing.T) {
	for _, c := range badLines {
		problems, err := parseAny(c.file, c.text)
		var got []string
		for _, p := range problems {
			got = append(got, p.String())
		}
		if err != nil {
			got = append(got, "error: "+err.Error())
		}
		var want []string
		for _, w := range c.want {
			rest, isError := strings.CutPrefix(w, "error: ")
			w = c.file + ":" + rest
			if isError {
				w = "error: " + w
			}
			want = append(want, w)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: parse(%q) says\n\t%s\nwant\n\t%s", c.file, c.text, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
	}
}

// TestReadErrorIsTheError makes sure that half a file is never taken for a whole.
func TestReadErrorIsTheError(t *testing.T) {
	broken := func(text string) io.Reader {
		return io.MultiReader(strings.NewReader(text), errReader{})
	}
	for _, text := range []string{"", "MODE=none", "A 1\n", "[a]\nb = c\n", "\"open", "\"a # b"} {
		_, _, e1 := ParseUPSConf("f", broken(text))
		_, _, e2 := ParseUPSD("f", broken(text))
		_, _, e3 := ParseUsers("f", broken(text))
		_, _, e4 := ParseUPSMon("f", broken(text))
		_, _, e5 := ParseNUTConf("f", broken(text))
		_, _, e6 := ParseUPSSched("f", broken(text))
		for i, err := range []error{e1, e2, e3, e4, e5, e6} {
			if err == nil || err.Error() != "read f: disk on fire" {
				t.Errorf("parser %d of %q gives error %v; want read f: disk on fire", i+1, text, err)
			}
		}
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errDisk }

type diskError struct{}

func (diskError) Error() string { return "disk on fire" }

var errDisk = diskError{}
