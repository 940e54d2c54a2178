package upsd

import (
	"testing"
	"testing/synctest"
	"time"
)

// A host whose connection breaks in an outage is waited for until it is back, until it
// has heard of FSD or for a minute.
func TestLostHostIsWaitedFor(t *testing.T) {
	const far, near = "192.0.2.7", "127.0.0.1"
	for _, tt := range []struct {
		name, host, status string
		play               func(w *world, c *client, again func() *client)
		want               string
	}{
		{"on battery", far, "OB DISCHRG", func(_ *world, c *client, _ func() *client) { c.conn.Close() }, "1"},
		{"on line", far, "OL", func(_ *world, c *client, _ func() *client) { c.conn.Close() }, "0"},
		{"it says goodbye", far, "OB", func(_ *world, c *client, _ func() *client) { c.want("LOGOUT", "OK Goodbye") }, "0"},
		{"a program of this host", near, "OB", func(_ *world, c *client, _ func() *client) { c.conn.Close() }, "0"},
		{"silent long before", far, "OB", func(_ *world, c *client, _ func() *client) {
			time.Sleep(59 * time.Second)
			c.conn.Close()
			time.Sleep(2 * time.Second)
		}, "0"},
		{"lost for long", far, "OB", func(_ *world, c *client, _ func() *client) {
			c.conn.Close()
			time.Sleep(58 * time.Second)
		}, "1"},
		{"lost for good", far, "OB", func(_ *world, c *client, _ func() *client) {
			c.conn.Close()
			time.Sleep(61 * time.Second)
		}, "0"},
		{"back", far, "OB", func(_ *world, c *client, again func() *client) {
			c.conn.Close()
			synctest.Wait()
			again()
		}, "1"},
		{"back and goodbye", far, "OB", func(_ *world, c *client, again func() *client) {
			c.conn.Close()
			synctest.Wait()
			again().want("LOGOUT", "OK Goodbye")
		}, "0"},
		{"it never heard of FSD", far, "OB LB", func(w *world, c *client, _ func() *client) {
			w.as("mon", `"mon pw"`).want("FSD fake", "OK FSD-SET")
			time.Sleep(time.Second)
			c.conn.Close()
		}, "1"},
		{"FSD on line", far, "OL", func(w *world, c *client, _ func() *client) {
			w.as("mon", `"mon pw"`).want("FSD fake", "OK FSD-SET")
			time.Sleep(time.Second)
			c.conn.Close()
		}, "1"},
		{"it goes down", far, "OB LB", func(w *world, c *client, _ func() *client) {
			w.as("mon", `"mon pw"`).want("FSD fake", "OK FSD-SET")
			time.Sleep(time.Second)
			c.want("GET VAR fake ups.status", `VAR fake ups.status "FSD OB LB"`)
			c.conn.Close()
		}, "0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.driver.say("SETINFO ups.status %q\n", tt.status)
				dial := w.far(tt.host)
				login := func() *client {
					c := dial()
					c.want("USERNAME sec", "OK")
					c.want("PASSWORD s", "OK")
					c.want("LOGIN fake", "OK")
					return c
				}
				c := login()
				time.Sleep(time.Second)
				tt.play(w, c, login)
				synctest.Wait()
				w.dial().want("GET NUMLOGINS fake", "NUMLOGINS fake "+tt.want)
			})
		})
	}
}
