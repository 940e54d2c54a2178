package main

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"gonut/bench/load"
	"gonut/bench/rig"
)

// tries is how often a measurement is begun anew because others were busy.
const tries = 5

// A measured load is a result and what it cost the server.
type measured struct {
	load.Result
	cpu   time.Duration // of the server
	other float64       // percent of the machine that neither we nor the server had
}

// measure runs a load against a server, again if the machine was not quiet.
func (b *bench) measure(srv *rig.Server, prepare preparation) (m measured, err error) {
	for range tries {
		if m, err = b.measureOnce(srv, prepare); err != nil || m.other <= b.quiet {
			return m, err
		}
	}
	return m, nil
}

func (b *bench) measureOnce(srv *rig.Server, prepare preparation) (m measured, err error) {
	if err := b.ctx.Err(); err != nil {
		return m, err
	}
	run, end := prepare(srv)
	defer end()
	before, err := readClocks(srv.PID())
	if err != nil {
		return m, err
	}
	m.Result = run()
	after, err := readClocks(srv.PID())
	if err != nil {
		return m, err
	}
	m.cpu = after.server - before.server
	others := after.busy - before.busy - m.cpu - (after.own - before.own)
	wall := after.wall.Sub(before.wall) * time.Duration(runtime.NumCPU())
	m.other = max(0, 100*float64(others)/float64(wall))
	return m, nil
}

// clocks are what the kernel knows of who has worked how long.
type clocks struct {
	wall              time.Time
	server, own, busy time.Duration
}

func readClocks(pid int) (c clocks, err error) {
	var e [3]error
	c.server, e[0] = rig.CPU(pid)
	c.own, e[1] = rig.CPU(0)
	c.busy, e[2] = rig.Busy()
	c.wall = time.Now()
	return c, errors.Join(e[:]...)
}

// per100k returns the server's seconds for 100,000 operations. The processor time
// covers the warm-up too.
func (m *measured) per100k() float64 {
	if len(m.Samples) == 0 {
		return 0
	}
	all := m.PerSecond() * (m.Seconds + load.WarmUp.Seconds())
	return m.cpu.Seconds() / all * 1e5
}

// start runs a server of each side.
func (b *bench) start(ps [sides]rig.Program, setup func(side) rig.Setup) (servers [sides]*rig.Server, stop func(), err error) {
	stop = func() {
		for _, s := range servers {
			if s != nil {
				s.Close()
			}
		}
	}
	for _, s := range b.sides {
		if servers[s], err = rig.Start(b.ctx, ps[s], setup(s)); err != nil {
			stop()
			return servers, nil, err
		}
	}
	return servers, stop, nil
}

// alike is a setup that both sides can have.
func alike(devices int) func(side) rig.Setup {
	return func(side) rig.Setup { return rig.Setup{Devices: devices} }
}

// A loadCase is a load that is measured on both sides.
type loadCase struct {
	name           string
	prepare        preparation
	rate, p99, cpu want
}

// A preparation does what must not be measured and returns what is; end undoes it.
type preparation func(srv *rig.Server) (run func() load.Result, end func())

// loads measures cases, the sides in turn in every round.
func (b *bench) loads(servers [sides]*rig.Server, cases ...loadCase) error {
	for _, c := range cases {
		rate := figure{name: c.name, unit: "/s", want: c.rate}
		p99 := figure{name: c.name + ", p99", unit: "µs", want: c.p99}
		cpu := figure{name: c.name + ", processor", unit: "s/100k", digits: 3, want: c.cpu}
		var failed [sides]int
		var example error
		var other []float64
		for range b.rounds {
			for _, s := range b.sides {
				srv := servers[s]
				if srv == nil {
					continue
				}
				m, err := b.measure(srv, c.prepare)
				if err != nil {
					return err
				}
				rate.values[s] = append(rate.values[s], m.PerSecond())
				p99.values[s] = append(p99.values[s], float64(m.Samples.Quantile(0.99))/1e3)
				cpu.values[s] = append(cpu.values[s], m.per100k())
				other = append(other, m.other)
				if failed[s] += m.Failed(); s == ours && m.Example != nil {
					example = m.Example
				}
			}
		}
		rate.note = fmt.Sprintf("(others had %.0f %%)", median(other))
		b.table.add(&rate, &p99, &cpu)
		if failed != [sides]int{} {
			b.table.say("errors: C %d, ours %d; %v", failed[theirs], failed[ours], example)
		}
		if failed[ours] > 0 {
			b.table.counts[missed]++
		}
	}
	return nil
}
