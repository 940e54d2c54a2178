package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gonut/bench/load"
	"gonut/bench/rig"
)

// An attack is something that a client does to a server. It goes on until end is
// called.
type attack struct {
	name  string
	begin func(b *bench, srv *rig.Server) (end func(), err error)
}

var attacks = [...]attack{
	{"LIST VAR for ever, never reading", (*bench).neverRead},
	{"STARTTLS, then nothing", (*bench).silentHandshake},
	{"1,000 connections with half a request", (*bench).halfRequests},
}

// The others: clients that ask now and then, as monitors do, so that what they wait
// for is the server and not each other.
const (
	others      = 16
	othersPause = 5 * time.Millisecond
	othersLimit = 2 * time.Second // a server that answers nobody is not waited for longer
)

// hostile measures what others notice of a client that means ill.
func (b *bench) hostile(ps [sides]rig.Program) error {
	dir, err := os.MkdirTemp("", "nutbench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cert, err := ourCertificate(b.ctx, ps[ours].Path, dir)
	if err != nil {
		return err
	}
	nss, err := nssCertificate(b.ctx, filepath.Join(dir, "nss"))
	if err != nil {
		b.table.say("C has no TLS here: %v", err)
	}
	lines := [sides][]string{theirs: nss, ours: cert}
	for _, a := range attacks {
		// New servers for each: one of C's that was stopped altogether may stay so.
		servers, stop, err := b.start(ps, func(s side) rig.Setup { return rig.Setup{Devices: 1, TLS: lines[s]} })
		if err != nil {
			return err
		}
		err = b.suffer(servers, a)
		stop()
		if err != nil {
			return err
		}
	}
	return nil
}

// suffer measures the others' p99 without and with an attack, in turn.
func (b *bench) suffer(servers [sides]*rig.Server, a attack) error {
	quiet := figure{name: a.name + ": others' p99 without", unit: "µs"}
	loud := figure{name: a.name + ": with", unit: "µs"}
	times := figure{name: a.name + ": with, without = 1", unit: "×", digits: 2, want: want{most: 2}}
	var unanswered [sides]int
	for round := range b.rounds {
		for _, s := range b.sides {
			if s == theirs && round > 0 && unanswered[s] > 0 {
				continue // once is enough
			}
			before, err := b.others(servers[s])
			if err != nil {
				return err
			}
			end, err := a.begin(b, servers[s])
			if err != nil {
				return fmt.Errorf("%s: %w", a.name, err)
			}
			time.Sleep(100 * time.Millisecond)
			during, err := b.others(servers[s])
			end()
			if err != nil {
				return err
			}
			unanswered[s] += during.Failed()
			without, with := before.Samples.Quantile(0.99), during.Samples.Quantile(0.99)
			quiet.values[s] = append(quiet.values[s], float64(without)/1e3)
			if during.Failed() == 0 {
				loud.values[s] = append(loud.values[s], float64(with)/1e3)
				times.values[s] = append(times.values[s], float64(with)/float64(without))
			}
		}
	}
	b.table.add(&quiet, &loud, &times)
	if unanswered != [sides]int{} {
		b.table.say("of the others' connections were not answered within %v: C's %d, ours %d", othersLimit, unanswered[theirs], unanswered[ours])
	}
	return nil
}

func (b *bench) others(srv *rig.Server) (measured, error) {
	return b.measure(srv, func(srv *rig.Server) (func() load.Result, func()) {
		crowd := load.GatherWithin(b.ctx, srv.Addr, others, othersLimit)
		return func() load.Result { return crowd.Poll(rig.GetStatus(rig.Name(0)), b.time, othersPause) }, crowd.Close
	})
}

// neverRead writes requests whose answers nobody reads, until nothing more can be
// written, and then goes on trying.
func (b *bench) neverRead(srv *rig.Server) (end func(), err error) {
	c, err := load.Dial(b.ctx, srv.Addr, time.Now().Add(time.Hour))
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		x := rig.ListVar(rig.Name(0))
		for {
			if _, err := c.Write(x.Send); err != nil {
				return
			}
		}
	}()
	return func() {
		c.Close()
		<-done
	}, nil
}

func (b *bench) silentHandshake(srv *rig.Server) (end func(), err error) {
	c, err := load.Dial(b.ctx, srv.Addr, time.Now().Add(time.Hour))
	if err != nil {
		return nil, err
	}
	if _, err := c.Write([]byte("STARTTLS\n")); err != nil {
		c.Close()
		return nil, err
	}
	return c.Close, nil
}

func (b *bench) halfRequests(srv *rig.Server) (end func(), err error) {
	var all []*load.Client
	end = func() {
		for _, c := range all {
			c.Close()
		}
	}
	for range 1000 {
		c, err := load.Dial(b.ctx, srv.Addr, time.Now().Add(time.Hour))
		if err == nil {
			all = append(all, c)
			_, err = c.Write([]byte("GET VAR ups0 ups.sta"))
		}
		if err != nil {
			end()
			return nil, err
		}
	}
	return end, nil
}
