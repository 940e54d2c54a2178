package rig

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
)

// Drivers are the drivers of all devices of a server, played by this process: they
// dump, answer PING and say what they are told to say.
type Drivers struct {
	listeners []net.Listener
	wg        sync.WaitGroup

	mu     sync.Mutex
	conns  map[int]net.Conn // by device; the last one
	closed bool
}

// startDrivers opens the sockets of n devices in the folder.
func startDrivers(dir string, n int) (*Drivers, error) {
	d := &Drivers{conns: make(map[int]net.Conn)}
	text := dump()
	for i := range n {
		l, err := net.Listen("unix", filepath.Join(dir, "bench-"+Name(i)))
		if err != nil {
			d.Close()
			return nil, err
		}
		d.listeners = append(d.listeners, l)
		d.wg.Go(func() { d.accept(i, l, text) })
	}
	return d, nil
}

func (d *Drivers) accept(i int, l net.Listener, text []byte) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		d.mu.Lock()
		d.conns[i] = c
		closed := d.closed
		d.mu.Unlock()
		if closed {
			c.Close()
			return
		}
		d.wg.Go(func() {
			defer c.Close()
			serve(c, text)
		})
	}
}

func serve(c net.Conn, text []byte) {
	for r := bufio.NewScanner(c); r.Scan(); {
		switch r.Text() {
		case "DUMPALL":
			c.Write(text)
		case "PING":
			io.WriteString(c, "PONG\n")
		}
	}
}

// Set announces a value of a device's variable.
func (d *Drivers) Set(i int, name, value string) error {
	d.mu.Lock()
	c := d.conns[i]
	d.mu.Unlock()
	if c == nil {
		return fmt.Errorf("no server is connected to the driver of %s", Name(i))
	}
	_, err := fmt.Fprintf(c, "SETINFO %s \"%s\"\n", name, value)
	return err
}

// Close ends all drivers.
func (d *Drivers) Close() {
	for _, l := range d.listeners {
		l.Close()
	}
	d.mu.Lock()
	d.closed = true
	for _, c := range d.conns {
		c.Close()
	}
	d.mu.Unlock()
	d.wg.Wait()
}
