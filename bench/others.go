package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"gonut/bench/load"
	"gonut/bench/rig"
)

// encrypted measures STARTTLS. C's upsd of Debian has its certificate in a database
// of NSS, which only certutil makes.
func (b *bench) encrypted(ps [sides]rig.Program) error {
	dir, err := os.MkdirTemp("", "nutbench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var lines [sides][]string
	if lines[ours], err = ourCertificate(b.ctx, ps[ours].Path, dir); err != nil {
		return err
	}
	compared := *b
	if lines[theirs], err = nssCertificate(b.ctx, filepath.Join(dir, "nss")); err != nil {
		compared.sides = []side{ours}
		b.table.say("C is not measured: %v", err)
	}
	servers, stop, err := compared.start(ps, func(s side) rig.Setup { return rig.Setup{Devices: 1, TLS: lines[s]} })
	if err != nil {
		return err
	}
	defer stop()
	for _, clients := range []int{1, 16} {
		each := figure{name: fmt.Sprintf("%d at a time, each", clients), unit: "ms", digits: 2}
		cpu := figure{name: fmt.Sprintf("%d at a time, processor for each", clients), unit: "ms", digits: 2}
		if clients == 1 {
			each.want.most = 5
		}
		for range b.rounds {
			for _, s := range compared.sides {
				m, err := b.measure(servers[s], b.visiting(rig.ListUPS(1), clients, true))
				if err != nil {
					return err
				}
				if m.Failed() > 0 {
					return fmt.Errorf("%v: %s: %w", s, m.ErrorText(), m.Example)
				}
				each.values[s] = append(each.values[s], float64(m.Samples.Quantile(0.5))/1e6)
				cpu.values[s] = append(cpu.values[s], m.per100k()/100)
			}
		}
		b.table.add(&each, &cpu)
	}
	return nil
}

// ourCertificate makes one with our own program.
func ourCertificate(ctx context.Context, nut, dir string) (lines []string, err error) {
	out, err := exec.CommandContext(ctx, nut, "cert", "-dir", dir, "localhost").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("nut cert: %w: %s", err, out)
	}
	return []string{"CERTFILE " + filepath.Join(dir, "upsd.pem")}, nil
}

func nssCertificate(ctx context.Context, dir string) (lines []string, err error) {
	certutil, err := exec.LookPath("certutil")
	if err != nil {
		return nil, errors.New("certutil is missing (apt-get install libnss3-tools)")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	noise := filepath.Join(dir, "noise")
	if err := os.WriteFile(noise, []byte(strings.Repeat("a benchmark needs no secrets ", 40)), 0o600); err != nil {
		return nil, err
	}
	for _, args := range [][]string{
		{"-N", "--empty-password"},
		{"-S", "-n", "upsd", "-s", "CN=localhost", "-x", "-t", "CT,,", "-g", "2048", "-z", noise},
	} {
		cmd := exec.CommandContext(ctx, certutil, append(args, "-d", dir)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("certutil: %w: %s", err, out)
		}
	}
	return []string{"CERTPATH " + dir, "CERTIDENT upsd \"\""}, nil
}

// idle measures the memory of servers that have nothing to do.
func (b *bench) idle(ps [sides]rig.Program) error {
	const settle = 3 * time.Second
	f := figure{name: "resident", unit: "MiB", digits: 1, want: want{most: 12}}
	for range min(3, b.rounds) {
		servers, stop, err := b.start(ps, alike(1))
		if err != nil {
			return err
		}
		time.Sleep(settle)
		for _, s := range b.sides {
			kib, err := rig.Resident(servers[s].PID())
			if err != nil {
				stop()
				return err
			}
			f.values[s] = append(f.values[s], float64(kib)/1024)
		}
		stop()
	}
	b.table.add(&f)
	return nil
}

// hold measures many connections that only wait, and a few busy ones among them.
func (b *bench) hold(ps [sides]rig.Program) error {
	const waiting, busy = 10000, 128
	memory := figure{name: "each of 10,000", unit: "KiB", digits: 2, want: want{most: 10}}
	share := figure{name: "128 busy among them, alone = 1", unit: "×", digits: 2}
	rate := figure{name: "128 busy among them", unit: "/s", want: want{ratioMin: 1}}
	lost := figure{name: "lost connections", want: want{ratioMax: 1}}
	var gone [sides]int
	for range min(3, b.rounds) {
		servers, stop, err := b.start(ps, alike(1))
		if err != nil {
			return err
		}
		for _, s := range b.sides {
			if err = b.holdOn(servers[s], waiting, busy, func(kib, alone, among float64, missing int) {
				memory.values[s] = append(memory.values[s], kib)
				rate.values[s] = append(rate.values[s], among)
				share.values[s] = append(share.values[s], among/alone)
				gone[s] += missing
			}); err != nil {
				break
			}
		}
		stop()
		if err != nil {
			return err
		}
	}
	for _, s := range b.sides {
		lost.values[s] = []float64{float64(gone[s])}
	}
	b.table.add(&memory, &rate, &share, &lost)
	return nil
}

// holdOn does it once on one server.
func (b *bench) holdOn(srv *rig.Server, waiting, busy int, report func(kib, alone, among float64, missing int)) error {
	load128 := b.polling(rig.GetStatus(rig.Name(0)), busy)
	alone, err := b.measure(srv, load128)
	if err != nil {
		return err
	}
	before, err := rig.Resident(srv.PID())
	if err != nil {
		return err
	}
	crowd := load.Gather(b.ctx, srv.Addr, waiting)
	defer crowd.Close()
	after, err := rig.Resident(srv.PID())
	if err != nil {
		return err
	}
	among, err := b.measure(srv, load128)
	if err != nil {
		return err
	}
	missing := waiting - crowd.Check() + alone.Failed() + among.Failed()
	report(float64(after-before)/float64(waiting), alone.PerSecond(), among.PerSecond(), missing)
	return nil
}
