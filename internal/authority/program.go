package authority

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"gonut/internal/program"
)

// Program is "nut cert".
func Program() program.Program {
	return program.Program{Name: "cert", Summary: "make certificates for TLS and say how to use them", Run: run}
}

func run(_ context.Context, e program.Env) error {
	flags := flag.NewFlagSet("nut cert", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	dir := flags.String("dir", ".", "`folder` for the files, made if it is missing; an authority that is there already is used")
	name := flags.String("name", "upsd", "`name` of the certificate's file, for further servers and for clients")
	switch err := flags.Parse(e.Args[1:]); {
	case errors.Is(err, flag.ErrHelp):
		usage(e.Stdout, flags)
		return nil
	case err != nil:
		fmt.Fprintf(e.Stderr, "nut cert: %v\n", err)
		usage(e.Stderr, flags)
		return program.Exit(2)
	}
	if *name != filepath.Base(*name) || *name == "ca" || *name == "ca-key" {
		return program.Exitf(2, "nut cert: -name %s is no name for a file", *name)
	}
	hosts, err := allHosts(flags.Args())
	if err != nil {
		return err
	}
	folder, err := filepath.Abs(*dir) // for what is printed is to be copied
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	a, err := openOrNew(folder)
	if err != nil {
		return err
	}
	text, err := a.Issue(time.Now(), hosts...)
	if err != nil {
		return err
	}
	path := filepath.Join(folder, *name+".pem")
	if err := writeNew(path, 0o600, text); err != nil {
		return err
	}
	explain(e, folder, path, hosts)
	return nil
}

func usage(w io.Writer, flags *flag.FlagSet) {
	fmt.Fprint(w, `usage: nut cert [-dir FOLDER] [-name NAME] [HOST…]
Makes an authority (ca.pem, ca-key.pem) unless the folder has one, and a certificate
with its key (NAME.pem) for a server that clients reach as any of the HOSTs: names
or addresses; this host's if none is given. Then it says what to write where.
`)
	flags.SetOutput(w)
	flags.PrintDefaults()
}

// hostName matches what a certificate may name.
var hostName = regexp.MustCompile(`^[0-9A-Za-z_*][-0-9A-Za-z_.]*$`)

// allHosts completes the names by which the server is reached: from its own host
// it always is.
func allHosts(given []string) ([]string, error) {
	for _, h := range given {
		if _, err := netip.ParseAddr(h); err != nil && !hostName.MatchString(h) {
			return nil, program.Exitf(2, "nut cert: %q is no host's name and no address; give it without port and brackets", h)
		}
	}
	hosts := slices.Clone(given)
	if len(hosts) == 0 {
		h, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("find this host's name: %w; give it on the command line", err)
		}
		hosts = []string{h}
	}
	for _, own := range []string{"localhost", "127.0.0.1", "::1"} {
		if !slices.Contains(hosts, own) {
			hosts = append(hosts, own)
		}
	}
	return hosts, nil
}

func openOrNew(dir string) (*Authority, error) {
	a, err := Open(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		return a, err
	}
	if _, err := os.Stat(filepath.Join(dir, caFile)); err == nil {
		return nil, fmt.Errorf("%s has %s but not its key %s; choose another folder with -dir", dir, caFile, caKeyFile)
	}
	if a, err = New("NUT authority", time.Now()); err != nil {
		return nil, err
	}
	return a, a.Write(dir)
}

func explain(e program.Env, dir, path string, hosts []string) {
	ca := filepath.Join(dir, caFile)
	fmt.Fprintf(e.Stdout, `%[1]s: certificate and key for %[4]v, good until %[5]s
%[2]s: the authority's certificate, for clients
%[3]s: the authority's key; keep it away from other hosts

On the server: make %[1]s readable for the user that upsd runs as and for
nobody else (chown root:nut, chmod 640), and write into upsd.conf

	CERTFILE %[1]s

then: upsd -c reload

On each client: copy %[2]s, say to /etc/nut/ca.pem, and write into upsmon.conf

	CERTPATH /etc/nut/ca.pem
	CERTVERIFY 1
	FORCESSL 1

A client of C NUT that was built with OpenSSL wants CERTPATH to be a folder: put
ca.pem into it and run "openssl rehash" on it. One that was built with NSS, as
Debian's is, wants a database: "certutil -N -d FOLDER --empty-password", then
"certutil -A -d FOLDER -n nut -t C,, -i ca.pem", and CERTPATH FOLDER.
`, path, ca, filepath.Join(dir, caKeyFile), hosts, time.Now().Add(Validity).Format(time.DateOnly))
}
