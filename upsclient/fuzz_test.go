package upsclient_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"gonut/internal/netproto"
	"gonut/internal/words"
	"gonut/upsclient"
)

// A script is a connection to a server that has said everything already.
type script struct {
	net.Conn // nil: what is not below is not used
	r        *strings.Reader
}

func (s script) Read(p []byte) (int, error)  { return s.r.Read(p) }
func (s script) Write(p []byte) (int, error) { return len(p), nil }
func (s script) Close() error                { return nil }
func (s script) RemoteAddr() net.Addr        { return nil }
func (s script) SetDeadline(time.Time) error { return nil }

// FuzzReplies lets a server say anything. Every method must end, with an answer, a
// refusal or an error that ends the client.
func FuzzReplies(f *testing.F) {
	for _, s := range []string{
		"", "\n", "OK\n", "ERR\n", "ERR DATA-STALE\n", "VAR u v \"x\"\n", "VAR u v \"x # y\"\n", "VAR u v \"half",
		"BEGIN LIST VAR u\nVAR u v \"1\"\nEND LIST VAR u\n", "BEGIN LIST VAR u\nERR DATA-STALE\n", "BEGIN LIST VAR u\nVAR u\nEND LIST VAR u\n",
		"BEGIN LIST UPS\nUPS a \"b\"\nEND LIST UPS\n", "BEGIN LIST RANGE u v\nRANGE u v \"1\" \"2\"\nEND LIST RANGE u v\n",
		"NUMLOGINS u 99999999999999999999\n", "TYPE u v RW STRING:x ENUM\n", "OK TRACKING  \n", "PENDING\n", "OK STARTTLS\nx",
		strings.Repeat("x", 5000), "VAR u v \"\x00\xff\x1b\"\r\n",
	} {
		f.Add(s)
	}
	calls := map[string]func(context.Context, *upsclient.Client) error{
		"ListUPS":      func(ctx context.Context, c *upsclient.Client) error { _, err := c.ListUPS(ctx); return err },
		"ListVars":     func(ctx context.Context, c *upsclient.Client) error { _, err := c.ListVars(ctx, "u"); return err },
		"ListRange":    func(ctx context.Context, c *upsclient.Client) error { _, err := c.ListRange(ctx, "u", "v"); return err },
		"ListCommands": func(ctx context.Context, c *upsclient.Client) error { _, err := c.ListCommands(ctx, "u"); return err },
		"Get":          func(ctx context.Context, c *upsclient.Client) error { _, err := c.Get(ctx, "u", "v"); return err },
		"Type": func(ctx context.Context, c *upsclient.Client) error {
			typ, err := c.Type(ctx, "u", "v")
			typ.Has("RW")
			typ.MaxLen()
			return err
		},
		"NumLogins": func(ctx context.Context, c *upsclient.Client) error { _, err := c.NumLogins(ctx, "u"); return err },
		"Set":       func(ctx context.Context, c *upsclient.Client) error { _, err := c.Set(ctx, "u", "v", "1"); return err },
		"Tracking":  func(ctx context.Context, c *upsclient.Client) error { _, err := c.Tracking(ctx, "id"); return err },
		"Primary":   func(ctx context.Context, c *upsclient.Client) error { return c.Primary(ctx, "u") },
		"StartTLS":  func(ctx context.Context, c *upsclient.Client) error { return c.StartTLS(ctx, &upsclient.TLS{}) },
	}
	f.Fuzz(func(t *testing.T, said string) {
		for name, call := range calls {
			c := upsclient.New(script{r: strings.NewReader(said)}, upsclient.Options{})
			err := call(t.Context(), c)
			var refused upsclient.Error
			if (err == nil || errors.As(err, &refused)) != (c.Err() == nil) {
				t.Errorf("%s of %q = %v, Err = %v; want the client to end with any error but a refusal", name, said, err, c.Err())
			}
			var lost *upsclient.ConnError
			var strange *upsclient.ProtocolError
			var noTLS *upsclient.TLSError
			if c.Err() != nil && !errors.As(err, &lost) && !errors.As(err, &strange) && !errors.As(err, &noTLS) {
				t.Errorf("%s of %q = %v; want an error of the package", name, said, err)
			}
		}
	})
}

// FuzzValue sends values as our server does; what can travel must arrive.
func FuzzValue(f *testing.F) {
	for _, s := range []string{"", "OL CHRG", `a "b" \ # c`, " x ", "=", "\\"} {
		f.Add(s, "ups.status")
	}
	f.Fuzz(func(t *testing.T, value, name string) {
		printable := func(s string) bool {
			return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
		}
		if !printable(value) || !printable(name) || len(words.AppendEscaped(nil, value, -1)) > netproto.MaxValue || len(name) > 100 {
			t.Skip("does not travel")
		}
		if strings.ContainsAny(name, " \t#\\\"=") || name == "" {
			t.Skip("no name of a variable; a server repeats names as they were typed")
		}
		reply := string(netproto.AppendRow(nil, value, "VAR", "u", name))
		c := upsclient.New(script{r: strings.NewReader(reply)}, upsclient.Options{})
		if got, err := c.Get(t.Context(), "u", name); got != value || err != nil {
			t.Errorf("Get of %q = %q, %v; want %q", reply, got, err, value)
		}
	})
}

// FuzzRequest sends any words; a server must read the same words.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "my ups", `a "b" # \`)
	f.Add("PASSWORD", "", "=")
	f.Fuzz(func(t *testing.T, verb, a, b string) {
		ours, theirs := net.Pipe()
		got := make(chan []byte, 1)
		go func() {
			buf := make([]byte, 8192)
			n, _ := theirs.Read(buf)
			theirs.Close()
			got <- buf[:n]
		}()
		c := upsclient.New(ours, upsclient.Options{})
		_, err := c.Do(t.Context(), verb, a, b)
		c.Close()
		line := string(<-got)
		if line == "" {
			if errors.Is(err, io.EOF) {
				t.Errorf("Do(%q, %q, %q) sent nothing and waited", verb, a, b)
			}
			return // refused
		}
		if strings.ContainsFunc(verb+a+b, func(r rune) bool { return r > '~' }) {
			return // the grammar drops these bytes
		}
		ws, problem := words.Split(line)
		if problem != nil || len(ws) != 3 || ws[0] != verb || ws[1] != a || ws[2] != b || strings.Count(line, "\n") != 1 {
			t.Errorf("Do(%q, %q, %q) sent %q = %q, %v; want one line of these words", verb, a, b, line, ws, problem)
		}
	})
}
