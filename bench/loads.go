package main

import (
	"fmt"
	"time"

	"gonut/bench/load"
	"gonut/bench/rig"
)

// polling is a load of connections that stay open.
func (b *bench) polling(x load.Exchange, conns int) preparation {
	return func(srv *rig.Server) (func() load.Result, func()) {
		crowd := load.Gather(b.ctx, srv.Addr, conns)
		return func() load.Result { return crowd.Poll(x, b.lengthFor(conns), 0) }, crowd.Close
	}
}

// lengthFor gives ten thousand connections the time to have more than a few answers
// each.
func (b *bench) lengthFor(conns int) time.Duration {
	if conns >= 10000 {
		return 3 * b.time
	}
	return b.time
}

func connections(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return fmt.Sprintf("%d connections", n)
}

func (b *bench) getVar(ps [sides]rig.Program) error {
	servers, stop, err := b.start(ps, alike(1))
	if err != nil {
		return err
	}
	defer stop()
	var cases []loadCase
	for _, n := range []int{1, 16, 128, 1000, 10000} {
		c := loadCase{
			name: connections(n), prepare: b.polling(rig.GetStatus(rig.Name(0)), n),
			rate: want{ratioMin: 1}, p99: want{ratioMax: 1.5}, cpu: want{ratioMax: 1.3},
		}
		if n == 1 {
			c.rate.ratioMin = 1.3
		}
		cases = append(cases, c)
	}
	return b.loads(servers, cases...)
}

func (b *bench) listVar(ps [sides]rig.Program) error {
	servers, stop, err := b.start(ps, alike(1))
	if err != nil {
		return err
	}
	defer stop()
	var cases []loadCase
	for _, c := range []struct {
		conns   int
		atLeast float64
	}{{1, 400}, {128, 10}, {1000, 5}} {
		cases = append(cases, loadCase{
			name: connections(c.conns), prepare: b.polling(rig.ListVar(rig.Name(0)), c.conns),
			rate: want{ratioMin: c.atLeast}, cpu: want{ratioMax: 1.0 / 6},
		})
	}
	return b.loads(servers, cases...)
}

// among compares a UPS that is the last of 100 with one that is alone.
func (b *bench) among(ps [sides]rig.Program) error {
	const many = 100
	alone, stopAlone, err := b.start(ps, alike(1))
	if err != nil {
		return err
	}
	defer stopAlone()
	crowded, stopCrowded, err := b.start(ps, alike(many))
	if err != nil {
		return err
	}
	defer stopCrowded()
	for _, what := range []struct {
		name string
		ask  func(ups string) load.Exchange
	}{{"GET VAR", rig.GetStatus}, {"LIST VAR", rig.ListVar}} {
		f := figure{name: what.name + " on 16 connections: processor among 100, alone = 1", unit: "×", digits: 2, want: want{most: 1.1}}
		for range b.rounds {
			for _, s := range b.sides {
				one, err := b.cost(alone[s], what.ask(rig.Name(0)))
				if err != nil {
					return err
				}
				all, err := b.cost(crowded[s], what.ask(rig.Name(many-1)))
				if err != nil {
					return err
				}
				f.values[s] = append(f.values[s], all/one)
			}
		}
		b.table.add(&f)
	}
	return b.loads(crowded, loadCase{
		name: "connect, LIST UPS, LOGOUT, 16 clients, 100 UPSes", prepare: b.visiting(rig.ListUPS(many), 16, false), rate: want{ratioMin: 1},
	})
}

// cost returns the server's seconds for 100,000 times x on 16 connections.
func (b *bench) cost(srv *rig.Server, x load.Exchange) (float64, error) {
	m, err := b.measure(srv, b.polling(x, 16))
	return m.per100k(), err
}

// visiting is a load of clients that connect for every question.
func (b *bench) visiting(x load.Exchange, clients int, encrypted bool) preparation {
	return func(srv *rig.Server) (func() load.Result, func()) {
		return func() load.Result { return load.Visit(b.ctx, srv.Addr, clients, x, encrypted, b.time) }, func() {}
	}
}

func (b *bench) connect(ps [sides]rig.Program) error {
	servers, stop, err := b.start(ps, alike(1))
	if err != nil {
		return err
	}
	defer stop()
	return b.loads(servers,
		loadCase{name: "1 client", prepare: b.visiting(rig.ListUPS(1), 1, false)},
		loadCase{name: "16 clients", prepare: b.visiting(rig.ListUPS(1), 16, false), rate: want{ratioMin: 1}},
		loadCase{name: "128 clients", prepare: b.visiting(rig.ListUPS(1), 128, false), p99: want{most: 50_000}},
	)
}
