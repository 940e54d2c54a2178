package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"gonut/bench/load"
	"gonut/bench/rig"
	"gonut/upsclient"
)

// Sizes of the measurement of push.
const (
	pushDevices  = 1000
	pushChanging = 100 // of them change every second
	pushVariable = "input.voltage"
)

// push measures how long a change of one UPS takes to reach a client that watches
// all, while others change. C cannot push; its clients poll, every 5 seconds unless
// they are told otherwise.
func (b *bench) push(ps [sides]rig.Program) error {
	srv, err := rig.Start(b.ctx, ps[ours], rig.Setup{Devices: pushDevices})
	if err != nil {
		return err
	}
	defer srv.Close()
	p50 := figure{name: "change → push client, p50", unit: "ms", digits: 3}
	p99 := figure{name: "change → push client, p99", unit: "ms", digits: 3, want: want{most: 5}}
	for range b.rounds {
		s, err := b.pushOnce(srv)
		if err != nil {
			return err
		}
		p50.values[ours] = append(p50.values[ours], float64(s.Quantile(0.5))/1e6)
		p99.values[ours] = append(p99.values[ours], float64(s.Quantile(0.99))/1e6)
	}
	kib, err := rig.Resident(srv.PID())
	if err != nil {
		return err
	}
	memory := figure{name: "resident, with 1,000 UPSes", unit: "MiB", digits: 1}
	memory.values[ours] = []float64{float64(kib) / 1024}
	b.table.add(&p50, &p99, &memory)
	return nil
}

// pushOnce lets one device change a few hundred times a second while many others
// change once a second each, and measures the one.
func (b *bench) pushOnce(srv *rig.Server) (load.Samples, error) {
	ctx, cancel := context.WithTimeout(b.ctx, 3*b.time+time.Minute)
	defer cancel()
	c, err := upsclient.Dial(ctx, srv.Addr, upsclient.Options{Security: upsclient.NoTLS})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	w, err := c.Watch(ctx, upsclient.All, pushVariable)
	if err != nil {
		return nil, err
	}
	for range pushDevices { // what there is at first
		if _, err := w.Next(ctx); err != nil {
			return nil, err
		}
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(stop)
	wg.Go(func() { changeOthers(srv.Drivers, stop) })
	var s load.Samples
	for i, end := 0, time.Now().Add(3*b.time); time.Now().Before(end); i++ {
		value := "m" + strconv.Itoa(i)
		begin := time.Now()
		if err := srv.Drivers.Set(0, pushVariable, value); err != nil {
			return nil, err
		}
		if err := awaitChange(ctx, w, rig.Name(0), value); err != nil {
			return nil, err
		}
		s = append(s, time.Since(begin))
		time.Sleep(3 * time.Millisecond)
	}
	return s, nil
}

// changeOthers makes a hundred devices change once a second each, one after the
// other.
func changeOthers(d *rig.Drivers, stop <-chan struct{}) {
	tick := time.NewTicker(time.Second / pushChanging)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-stop:
			return
		case <-tick.C:
			// An error shows in the measurement.
			d.Set(1+i%pushChanging, pushVariable, "v"+strconv.Itoa(i))
		}
	}
}

// awaitChange takes steps until the one that is measured comes.
func awaitChange(ctx context.Context, w *upsclient.Watch, ups, value string) error {
	for {
		step, err := w.Next(ctx)
		if err != nil {
			return err
		}
		if step.UPS != ups {
			continue
		}
		for _, c := range step.Changes {
			if c.Name == pushVariable && c.Value == value {
				return nil
			}
		}
		return fmt.Errorf("%s changed to %v; want %s = %s", ups, step.Changes, pushVariable, value)
	}
}
