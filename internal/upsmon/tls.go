package upsmon

import (
	"strings"

	"gonut/internal/conf"
	"gonut/internal/netproto"
	"gonut/upsclient"
)

// connectOptions returns how to connect to a server: with or without TLS, and what its
// certificate must prove.
func connectOptions(c conf.UPSMon, host netproto.Host, d Deps) (upsclient.Options, error) {
	o := upsclient.Options{ConnectTimeout: d.ConnectTimeout, Dial: d.Dial}
	force, verify, name := -1, -1, ""
	for _, h := range c.CertHosts {
		if strings.EqualFold(h.Host, host.Name) && h.Port == host.Port {
			force, verify, name = h.Force, h.Verify, h.Name
			break
		}
	}
	switch {
	case c.ForceSSL && force == 0:
		o.Security = upsclient.NoTLS
	case c.ForceSSL || force == 1:
		o.Security = upsclient.RequireTLS
	}
	files := tlsFiles(c)
	files.Name = name
	files.Verify = verify == 1 || verify == -1 && c.CertVerify
	var err error
	if o.Security != upsclient.NoTLS {
		o.TLS, err = files.Load()
	}
	return o, err
}

func tlsFiles(c conf.UPSMon) upsclient.TLSFiles {
	return upsclient.TLSFiles{
		CAPath: c.CertPath, CertFile: c.CertFile, Ident: c.CertIdentName, Password: string(c.CertIdentPass), Verify: c.CertVerify,
	}
}
