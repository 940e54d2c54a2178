//go:build unix

package interop

import (
	"strings"
	"testing"
)

// clientsHost is a host with a upsd and dummy-ups, C's or ours, on files with
// everything that clients can show.
func clientsHost(t *testing.T, ours bool) *host {
	t.Helper()
	h := newHost(t, map[string]string{
		"ups.conf": `
[ups]
 driver = dummy-ups
 port = ups.dev
 desc = "A ups with \"quotes\" and a \\"
[plain]
 driver = dummy-ups
 port = plain.dev
[off]
 driver = dummy-ups
 port = ups.dev
`,
		"ups.dev": `
ups.status: OL CHRG
ups.mfr: Acme <&> Co
ups.model: a "quoted" \\ model \# 1
ups.serial:
battery.charge: 90
input.transfer.low: 90
input.voltage: 230.0
ups.id: my ups
outlet.1.desc: first
experimental.thing: yes
`,
		"plain.dev": "ups.status: OB LB\n",
		"upsd.conf": "LISTEN 127.0.0.1 @PORT@\n",
		"upsd.users": `
[admin]
 password = secret
 actions = SET
 actions = FSD
 instcmds = ALL
[mon]
 password = "mon pw"
 upsmon primary
[a b]
 password = x
`,
	})
	h.env = append(h.env, "NUT_QUIET_OK_NOTRACKING=true")
	for _, p := range []program{cDriver("dummy-ups", "ups"), cDriver("dummy-ups", "plain"), cUPSD()} {
		p.ours = ours
		h.start(p)
	}
	h.await("ups", "ups.status", "OL CHRG")
	h.await("plain", "ups.status", "OB LB")
	return h
}

// TestClientsPrintWhatCPrints runs each command with C's program and with ours.
// Output and exit codes must be the same; of the messages those that scripts read.
func TestClientsPrintWhatCPrints(t *testing.T) {
	t.Run("with C's upsd", func(t *testing.T) { compareClients(t, clientsHost(t, false)) })
	t.Run("with our upsd", func(t *testing.T) { compareClients(t, clientsHost(t, true)) })
}

func compareClients(t *testing.T, h *host) {
	ups, host := h.system("ups"), h.addr()
	nobody := "ups@127.0.0.1:1"
	admin := func(args ...string) []string { return append([]string{"-u", "admin", "-p", "secret"}, args...) }
	tests := []struct {
		prog  string
		args  []string
		stdin string
	}{
		{"upsc", []string{"-l", host}, ""},
		{"upsc", []string{"-L", host}, ""},
		{"upsc", []string{"-l", "-c", host}, ""},
		{"upsc", []string{"-l", host, "surplus"}, ""},
		{"upsc", []string{ups}, ""},
		{"upsc", []string{h.system("UPS")}, ""},
		{"upsc", []string{h.system("plain")}, ""},
		{"upsc", []string{h.system("off")}, ""},
		{"upsc", []string{h.system("none")}, ""},
		{"upsc", []string{h.system("a b")}, ""},
		{"upsc", []string{ups, "ups.model"}, ""},
		{"upsc", []string{ups, "UPS.Status"}, ""},
		{"upsc", []string{ups, "ups.serial"}, ""},
		{"upsc", []string{ups, "no.such"}, ""},
		{"upsc", []string{ups, "nodot"}, ""},
		{"upsc", []string{ups, "server.version", "surplus"}, ""},
		{"upsc", []string{h.system("off"), "ups.status"}, ""},
		{"upsc", []string{"-c", ups}, ""},
		{"upsc", []string{"-c", h.system("none")}, ""},
		{"upsc", []string{nobody}, ""},
		{"upsc", []string{nobody, "nodot"}, ""},
		{"upsc", []string{"ups@host.invalid"}, ""},
		{"upsc", []string{}, ""},
		{"upsc", []string{"-c"}, ""},
		{"upsc", []string{""}, ""},
		{"upsc", []string{"ups@"}, ""},
		{"upsc", []string{"ups@[::1"}, ""},
		{"upsc", []string{"ups@host:0"}, ""},
		{"upsc", []string{"ups@host:65536"}, ""},
		{"upsc", []string{"-l", "host:x"}, ""},
		{"upscmd", []string{"-l", ups}, ""},
		{"upscmd", []string{"-l", h.system("none")}, ""},
		{"upscmd", []string{"-l", h.system("off")}, ""},
		{"upscmd", []string{"-l", nobody}, ""},
		{"upscmd", []string{"-l", "ups@host:0"}, ""},
		{"upscmd", admin(ups, "load.off"), ""},
		{"upscmd", admin(ups, "LOAD.OFF", "5"), ""},
		{"upscmd", admin(ups, "load.off", "5", "6"), ""},
		{"upscmd", admin("-w", ups, "load.off"), ""},
		{"upscmd", admin("-w", "-t", "3", ups, "load.off"), ""},
		{"upscmd", admin(ups, "no.such"), ""},
		{"upscmd", admin("-w", ups, "no.such"), ""},
		{"upscmd", admin(ups, "nodot"), ""},
		{"upscmd", admin(h.system("none"), "load.off"), ""},
		{"upscmd", admin(nobody, "load.off"), ""},
		{"upscmd", []string{"-u", "admin", "-p", "wrong", ups, "load.off"}, ""},
		{"upscmd", []string{"-w", "-u", "admin", "-p", "wrong", ups, "load.off"}, ""},
		{"upscmd", []string{"-u", "admin", ups, "load.off"}, "secret\n"},
		{"upscmd", []string{ups, "load.off"}, "admin\nsecret\n"},
		{"upsrw", []string{ups}, ""},
		{"upsrw", []string{"-l", ups}, ""},
		{"upsrw", []string{"-s", "ups.id=x", "-l", ups}, ""},
		{"upsrw", []string{h.system("plain")}, ""},
		{"upsrw", []string{h.system("none")}, ""},
		{"upsrw", []string{h.system("off")}, ""},
		{"upsrw", []string{nobody}, ""},
		{"upsrw", admin("-s", "ups.id=one", ups), ""},
		{"upsrw", admin("-s", "ups.id=a b", ups), ""},
		{"upsrw", admin("-s", "ups.id=a=b", ups), ""},
		{"upsrw", admin("-w", "-s", "ups.id=two", ups), ""},
		{"upsrw", admin("-s", "ups.id", ups), "three\n"},
		{"upsrw", []string{"-s", "ups.id", ups}, "admin\nsecret\nfour\n"},
		{"upsrw", admin("-s", "driver.name=x", ups), ""},
		{"upsrw", admin("-w", "-s", "driver.name=x", ups), ""},
		{"upsrw", admin("-s", "no.such=x", ups), ""},
		{"upsrw", admin("-s", "nodot=x", ups), ""},
		{"upsrw", admin("-s", "ups.id=x", h.system("off")), ""},
		{"upsrw", admin("-s", "ups.id=x", nobody), ""},
		{"upsrw", admin("-s", "ups.id="+strings.Repeat("x", 100), ups), ""},
		{"upsrw", []string{"-u", "admin", "-p", "wrong", "-s", "ups.id=x", ups}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.prog+" "+strings.Join(tt.args, " "), func(t *testing.T) {
			theirs := h.run(cProgram(tt.prog, tt.args...).with(tt.stdin))
			ours := h.run(ourProgram(tt.prog, tt.args...).with(tt.stdin))
			theirs.stderr, ours.stderr = messages(theirs.stderr), messages(ours.stderr)
			if ours != theirs {
				t.Errorf("%s %q = %+v; want what C's prints: %+v", tt.prog, tt.args, ours, theirs)
			}
		})
	}
}

// messages are the lines of standard error without those that are not the same on
// purpose: the TLS library's remark, and where in C's code an address was refused.
func messages(stderr string) string {
	var kept []string
	for _, line := range strings.SplitAfter(stderr, "\n") {
		if strings.HasPrefix(line, "Init SSL without certificate database") ||
			strings.HasPrefix(line, "upscli_split") || strings.Contains(line, ": read address ") {
			continue
		}
		kept = append(kept, line)
	}
	return strings.Join(kept, "")
}

// TestClientsEndAsC compares what has words of our own: help, and options that are
// wrong. Their exit codes are C's.
func TestClientsEndAsC(t *testing.T) {
	h := newHost(t, nil)
	for _, prog := range []string{"upsc", "upscmd", "upsrw"} {
		for _, args := range [][]string{{"-h"}, {"-V"}, {"-%"}, {"-l", "-%"}, {"-t"}, {"-t", "x"}, {"-t", "-1", "a", "b.c"}} {
			if prog == "upsc" && args[0] == "-t" {
				continue
			}
			theirs, ours := h.run(cProgram(prog, args...)), h.run(ourProgram(prog, args...))
			if ours.code != theirs.code {
				t.Errorf("%s %q ends with %d; want %d as C's", prog, args, ours.code, theirs.code)
			}
		}
	}
	for _, args := range [][]string{{"upscmd"}, {"upscmd", "ups@127.0.0.1:1"}, {"upscmd", "-l"}, {"upsrw"}, {"upsrw", "-l"}, {"upsrw", "-s", "a.b=1"}} {
		theirs, ours := h.run(cProgram(args[0], args[1:]...)), h.run(ourProgram(args[0], args[1:]...))
		if ours.code != theirs.code || (ours.stdout == "") != (theirs.stdout == "") {
			t.Errorf("%q = %+v; want exit code and kind of output as C's: %+v", args, ours, theirs)
		}
	}
}
