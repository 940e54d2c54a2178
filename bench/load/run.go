package load

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// WarmUp is how long a load runs before its samples count.
const WarmUp = 200 * time.Millisecond

const (
	patience = 10 * time.Second // for an answer
	ramp     = 8                // connections that are opened at once; more than 16 waiting are too many for C
)

// A Result is what a run found out.
type Result struct {
	Samples Samples
	Seconds float64 // that the samples were taken in
	Errors  map[string]int
	Example error // one of the errors
}

// PerSecond returns the operations per second.
func (r *Result) PerSecond() float64 { return float64(len(r.Samples)) / r.Seconds }

// Failed returns how many operations failed.
func (r *Result) Failed() int {
	n := 0
	for _, m := range r.Errors {
		n += m
	}
	return n
}

// ErrorText says which errors there were, nothing if there were none.
func (r *Result) ErrorText() string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(r.Errors)) {
		parts = append(parts, fmt.Sprintf("%d × %s", r.Errors[k], k))
	}
	return strings.Join(parts, ", ")
}

// collector takes what the workers of a run find out.
type collector struct {
	mu  sync.Mutex
	res Result
}

func newCollector() *collector { return &collector{res: Result{Errors: make(map[string]int)}} }

func (c *collector) add(s Samples, errs ...error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.res.Samples = append(c.res.Samples, s...)
	for _, err := range errs {
		if err != nil {
			c.res.Errors[kind(err)]++
			c.res.Example = err
		}
	}
}

// A Crowd is clients that are connected and were answered once, as a connection
// may be in the kernel long before the server takes it.
type Crowd struct {
	clients  []*Client
	failed   []error
	patience time.Duration
}

// Gather connects n clients.
func Gather(ctx context.Context, addr string, n int) *Crowd {
	return GatherWithin(ctx, addr, n, patience)
}

// GatherWithin is Gather with clients that wait no longer than limit for an answer.
func GatherWithin(ctx context.Context, addr string, n int, limit time.Duration) *Crowd {
	g := &Crowd{clients: make([]*Client, n), patience: limit}
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, ramp)
	hello := greeting()
	for i := range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			c, err := Dial(ctx, addr, time.Now().Add(limit))
			if err == nil {
				if err = c.Ask(&hello); err != nil {
					c.Close()
				}
			}
			if err != nil {
				mu.Lock()
				g.failed = append(g.failed, err)
				mu.Unlock()
				return
			}
			g.clients[i] = c
		})
	}
	wg.Wait()
	g.clients = slices.DeleteFunc(g.clients, func(c *Client) bool { return c == nil })
	return g
}

// Close ends all connections.
func (g *Crowd) Close() {
	for _, c := range g.clients {
		c.Close()
	}
}

// Len returns how many clients are connected.
func (g *Crowd) Len() int { return len(g.clients) }

// Check asks every client once more, one after the other, and returns how many of
// them are still served.
func (g *Crowd) Check() int {
	hello, good := greeting(), 0
	for _, c := range g.clients {
		if c.conn.SetDeadline(time.Now().Add(patience)) == nil && c.Ask(&hello) == nil {
			good++
		}
	}
	return good
}

// Poll lets every client ask x over and over for the time d, with a pause between
// an answer and the next request if pause is not 0.
func (g *Crowd) Poll(x Exchange, d, pause time.Duration) Result {
	col := newCollector()
	col.add(nil, g.failed...)
	begin := time.Now()
	from, to := begin.Add(WarmUp), begin.Add(WarmUp+d)
	var stop atomic.Bool
	timer := time.AfterFunc(to.Sub(begin), func() { stop.Store(true) })
	defer timer.Stop()
	var wg sync.WaitGroup
	for i, c := range g.clients {
		wg.Go(func() {
			// Once for the whole run: setting it costs as much as a small request.
			c.conn.SetDeadline(to.Add(g.patience))
			if pause > 0 { // not all at the same moment
				time.Sleep(pause * time.Duration(i) / time.Duration(len(g.clients)))
			}
			col.add(c.poll(&x, &stop, from, pause))
		})
	}
	wg.Wait()
	col.res.Seconds = time.Since(from).Seconds()
	return col.res
}

func (c *Client) poll(x *Exchange, stop *atomic.Bool, from time.Time, pause time.Duration) (s Samples, err error) {
	last := time.Now()
	for !stop.Load() {
		if err := c.Ask(x); err != nil {
			return s, err
		}
		now := time.Now()
		if last.After(from) {
			s = append(s, now.Sub(last))
		}
		last = now
		if pause > 0 {
			time.Sleep(pause)
			last = time.Now()
		}
	}
	return s, nil
}

// Visit lets n clients at a time connect, start TLS if encrypted says so, ask x and
// log out, over and over for the time d.
func Visit(ctx context.Context, addr string, n int, x Exchange, encrypted bool, d time.Duration) Result {
	col := newCollector()
	begin := time.Now()
	from, to := begin.Add(WarmUp), begin.Add(WarmUp+d)
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			var s Samples
			for start := time.Now(); start.Before(to); {
				err := visit(ctx, addr, x, encrypted, to.Add(patience))
				now := time.Now()
				switch {
				case err != nil:
					col.add(nil, err)
					time.Sleep(10 * time.Millisecond) // who refuses is not to be hammered
				case start.After(from):
					s = append(s, now.Sub(start))
				}
				start = time.Now()
			}
			col.add(s)
		})
	}
	wg.Wait()
	col.res.Seconds = time.Since(from).Seconds()
	return col.res
}

func visit(ctx context.Context, addr string, x Exchange, encrypted bool, deadline time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	c, err := Dial(ctx, addr, deadline)
	if err != nil {
		return err
	}
	defer c.Close()
	if encrypted {
		if err := c.StartTLS(ctx); err != nil {
			return err
		}
	}
	if err := c.Ask(&x); err != nil {
		return err
	}
	bye := logout()
	return c.Ask(&bye)
}
