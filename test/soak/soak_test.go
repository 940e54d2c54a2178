//go:build unix

// Package soak hurts driver processes at random for a while: they are killed, stopped,
// ended, told to reload, their device hangs, its cable is pulled, and clients of their
// sockets do not read. Each time it measures how long it takes from the end of the
// fault until a new setting of the device has gone through upsd and driver and is
// seen; in the end nothing may be lost or left behind.
//
// go test runs a short one. make test-soak runs a thousand faults and insists on three
// seconds; docs/reliability.md has its figures.
package soak

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gonut/test/built"
	"gonut/upsclient"
)

var (
	faults = flag.Int("soak.faults", 60, "number of faults")
	// A loaded machine is no reason to fail a test, so the limit is generous unless
	// somebody measures.
	limit = flag.Duration("soak.limit", 20*time.Second, "longest recovery")
	seed  = flag.Uint64("soak.seed", 1, "of the random faults")
)

// drivers is how many suffer at a time. The last ones are never killed, so that what
// they leak adds up.
const (
	drivers  = 8
	enduring = 2
)

// A site is a host with drivers and upsd, as processes.
type site struct {
	t    *testing.T
	dir  string
	nut  string
	port int
	env  []string

	upsd *exec.Cmd
	mu   sync.Mutex
	proc map[string]*exec.Cmd // by ups
	took map[string][]time.Duration
}

func TestSoak(t *testing.T) {
	s := newSite(t)
	s.upsd = s.start("upsd", "-F")
	names := s.names()
	for _, name := range append(names, "copy", "far") {
		s.startDriver(name)
	}
	for _, name := range append(names, "copy", "far") {
		s.await(name, time.Now())
	}
	before := s.usage()
	var wg sync.WaitGroup
	for i, name := range names {
		wg.Go(func() { s.suffer(name, i) })
	}
	wg.Wait()
	// What stands on the others has followed them.
	for _, name := range []string{"copy", "far"} {
		s.await(name, time.Now())
	}
	s.report(before)
	s.end()
}

func newSite(t *testing.T) *site {
	t.Helper()
	// Not t.TempDir: the paths of sockets have to be short.
	dir, err := os.MkdirTemp("", "soak")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, dir: dir, port: l.Addr().(*net.TCPAddr).Port,
		proc: make(map[string]*exec.Cmd), took: make(map[string][]time.Duration)}
	l.Close()
	if s.nut, err = built.Build(dir); err != nil {
		t.Fatal(err)
	}
	s.env = append(os.Environ(), "NUT_CONFPATH="+dir, "NUT_STATEPATH="+dir, "NUT_ALTPIDPATH="+dir, "NUT_PIDPATH="+dir)
	conf := "pollinterval = 1\n"
	for _, name := range s.names() {
		conf += fmt.Sprintf("[%s]\n driver = dummy-ups\n port = simulator\n", name)
	}
	conf += "[copy]\n driver = clone\n port = dummy-ups-ups0\n"
	conf += fmt.Sprintf("[far]\n driver = dummy-ups\n port = ups1@127.0.0.1:%d\n authconf = none\n repeater_disable_strict_start\n", s.port)
	for name, text := range map[string]string{
		"ups.conf":   conf,
		"upsd.conf":  fmt.Sprintf("LISTEN 127.0.0.1 %d\nMAXAGE 3\n", s.port),
		"upsd.users": "[admin]\n password = secret\n actions = SET\n instcmds = ALL\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *site) names() []string {
	var ns []string
	for i := range drivers {
		ns = append(ns, fmt.Sprintf("ups%d", i))
	}
	return ns
}

// start starts one of our programs. Its output is kept for a failure.
func (s *site) start(name string, args ...string) *exec.Cmd {
	if os.Geteuid() == 0 {
		args = append(args, "-u", "root")
	}
	cmd := exec.Command(s.nut, args...)
	cmd.Args[0] = name
	cmd.Env = s.env
	out, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		s.t.Error(err)
	} else {
		defer out.Close()
		cmd.Stdout, cmd.Stderr = out, out
	}
	if err := cmd.Start(); err != nil {
		s.t.Errorf("start %s: %v", name, err)
	}
	return cmd
}

func driverOf(ups string) string {
	if ups == "copy" {
		return "clone"
	}
	return "dummy-ups"
}

func (s *site) startDriver(ups string) {
	cmd := s.start(driverOf(ups), "-F", "-a", ups)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proc[ups] = cmd
}

func (s *site) process(ups string) *exec.Cmd {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.proc[ups]
}

func (s *site) signal(ups string, sig syscall.Signal) {
	if err := s.process(ups).Process.Signal(sig); err != nil {
		s.t.Errorf("signal %s: %v", ups, err)
	}
}

// client connects to upsd.
func (s *site) client() (*upsclient.Client, error) {
	return upsclient.Dial(s.t.Context(), net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), upsclient.Options{Security: upsclient.NoTLS})
}

// patience is when a ups counts as lost.
const patience = time.Minute

// await returns how long it takes from a moment until the link to a ups works: what
// is set there is seen here. Those that stand on others only have to be current.
func (s *site) await(ups string, since time.Time) time.Duration {
	var last error
	for time.Since(since) < patience {
		if last = s.probe(ups); last == nil {
			return time.Since(since)
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.t.Errorf("%s: no current data %v after the fault: %v", ups, time.Since(since).Round(time.Second), last)
	return time.Since(since)
}

// probe makes one attempt over a connection of its own.
func (s *site) probe(ups string) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx := s.t.Context()
	status, err := c.Get(ctx, ups, "ups.status")
	if err != nil || status == "WAIT" {
		return fmt.Errorf("status %q: %w", status, err)
	}
	if !strings.HasPrefix(ups, "ups") {
		return nil
	}
	want := strconv.FormatInt(time.Now().UnixMilli()%1000, 10)
	if err := errors.Join(c.Username(ctx, "admin"), c.Password(ctx, "secret")); err != nil {
		return err
	}
	if _, err := c.Set(ctx, ups, "simulator.load", want); err != nil {
		return err
	}
	got := ""
	for range 100 {
		if got, err = c.Get(ctx, ups, "simulator.load"); err != nil || got == want {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("simulator.load is %s and not %s", got, want)
}

// tell gives a command to a ups through upsd.
func (s *site) tell(ups, command, param string) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	defer c.Close()
	return errors.Join(c.Username(s.t.Context(), "admin"), c.Password(s.t.Context(), "secret"), func() error {
		_, err := c.Command(s.t.Context(), ups, command, param)
		return err
	}())
}

// A fault is something that happens to a driver. It returns when it is over.
type fault struct {
	name  string
	fatal bool // the process ends
	slow  bool
	do    func(s *site, ups string, r *rand.Rand)
}

// pause waits between a moment and so many seconds.
func pause(r *rand.Rand, most float64) time.Duration {
	d := time.Duration((0.1 + r.Float64()*most) * float64(time.Second))
	time.Sleep(d)
	return d
}

func allFaults() []fault {
	wedge := func(least, most int) func(s *site, ups string, r *rand.Rand) {
		return func(s *site, ups string, r *rand.Rand) {
			n := least + r.IntN(most-least)
			until := time.Now().Add(time.Duration(n) * time.Second)
			if err := s.tell(ups, "simulator.hang", strconv.Itoa(n)); err != nil {
				s.t.Errorf("%s: %v", ups, err)
			}
			time.Sleep(time.Until(until))
		}
	}
	restart := func(s *site, ups string) {
		s.process(ups).Wait()
		s.startDriver(ups)
	}
	return []fault{
		{"killed", true, false, func(s *site, ups string, r *rand.Rand) {
			s.signal(ups, syscall.SIGKILL)
			pause(r, 1)
			restart(s, ups)
		}},
		{"ended", true, false, func(s *site, ups string, r *rand.Rand) {
			s.signal(ups, syscall.SIGTERM)
			restart(s, ups)
		}},
		{"killed while starting", true, false, func(s *site, ups string, r *rand.Rand) {
			s.signal(ups, syscall.SIGKILL)
			restart(s, ups)
			time.Sleep(time.Duration(r.IntN(40)) * time.Millisecond)
			s.signal(ups, syscall.SIGKILL)
			restart(s, ups)
		}},
		{"stopped", false, false, func(s *site, ups string, r *rand.Rand) {
			s.signal(ups, syscall.SIGSTOP)
			pause(r, 6)
			s.signal(ups, syscall.SIGCONT)
		}},
		{"wedged", false, false, wedge(1, 9)},
		// Longer than any call is waited for.
		{"wedged for long", false, true, wedge(32, 45)},
		{"unplugged", false, false, func(s *site, ups string, r *rand.Rand) {
			n := 1 + r.IntN(8)
			until := time.Now().Add(time.Duration(n) * time.Second)
			if err := s.tell(ups, "simulator.unplug", strconv.Itoa(n)); err != nil {
				s.t.Errorf("%s: %v", ups, err)
			}
			time.Sleep(time.Until(until))
		}},
		{"told to reload", false, false, func(s *site, ups string, r *rand.Rand) {
			s.signal(ups, syscall.SIGHUP)
		}},
		{"clients that do not read", false, false, func(s *site, ups string, r *rand.Rand) {
			for range 5 {
				c, err := net.Dial("unix", filepath.Join(s.dir, "dummy-ups-"+ups))
				if err != nil {
					s.t.Errorf("%s: %v", ups, err)
					return
				}
				defer c.Close()
				c.SetWriteDeadline(time.Now().Add(time.Second / 4))
				for range 1000 {
					if _, err := c.Write([]byte("DUMPALL\n")); err != nil {
						break
					}
				}
			}
			pause(r, 1)
		}},
	}
}

// suffer lets a driver have its share of faults, one after the other.
func (s *site) suffer(ups string, i int) {
	r := rand.New(rand.NewPCG(*seed, uint64(i)))
	all := allFaults()
	if i >= drivers-enduring {
		all = slices.DeleteFunc(all, func(f fault) bool { return f.fatal })
	}
	for range (*faults + drivers - 1 - i) / drivers {
		f := all[r.IntN(len(all))]
		for f.slow && (*faults < 500 || r.IntN(8) > 0) { // it takes its time
			f = all[r.IntN(len(all))]
		}
		f.do(s, ups, r)
		took := s.await(ups, time.Now())
		s.mu.Lock()
		s.took[f.name] = append(s.took[f.name], took)
		s.mu.Unlock()
		pause(r, 1.5)
	}
}

// usage is what processes that lived through everything hold: descriptors, threads
// and memory.
func (s *site) usage() map[string][3]int {
	u := make(map[string][3]int)
	s.mu.Lock()
	procs := map[string]*exec.Cmd{"upsd": s.upsd}
	for name, p := range s.proc {
		procs[name] = p
	}
	s.mu.Unlock()
	for name, p := range procs {
		fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.Process.Pid))
		if err != nil {
			continue // no such system
		}
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Process.Pid))
		field := func(key string) int {
			_, rest, _ := strings.Cut(string(status), key+":")
			n, _ := strconv.Atoi(strings.Fields(rest + " 0")[0])
			return n
		}
		u[name] = [3]int{len(fds), field("Threads"), field("VmRSS")}
	}
	return u
}

// report prints the figures and fails for what is lost, late or left behind.
func (s *site) report(before map[string][3]int) {
	t := s.t
	var all []time.Duration
	names := make([]string, 0, len(s.took))
	for name, ds := range s.took {
		names = append(names, name)
		all = append(all, ds...)
	}
	slices.Sort(names)
	line := func(name string, ds []time.Duration) {
		slices.Sort(ds)
		q := func(p float64) time.Duration {
			return ds[min(int(p*float64(len(ds))), len(ds)-1)].Round(time.Millisecond)
		}
		t.Logf("%-26s %5d faults; current again after %7v (half of them), %7v (99 of 100), %7v (all)", name, len(ds), q(0.5), q(0.99), q(1))
	}
	for _, name := range names {
		line(name, s.took[name])
	}
	line("all", all)
	if worst := slices.Max(all); worst > *limit {
		t.Errorf("the slowest recovery took %v; want at most %v", worst, *limit)
	}
	time.Sleep(6 * time.Second) // until clients that did not read are gone
	after := s.usage()
	names = names[:0]
	for name := range after {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		a, b := after[name], before[name]
		t.Logf("%-26s descriptors %d, then %d; threads %d, then %d; resident %d KiB, then %d", name, b[0], a[0], b[1], a[1], b[2], a[2])
		if a[0] > b[0]+2 {
			t.Errorf("%s has %d descriptors open after all; %d before", name, a[0], b[0])
		}
	}
}

// end stops everything and looks for what is left behind.
func (s *site) end() {
	t := s.t
	s.mu.Lock()
	defer s.mu.Unlock()
	procs := []*exec.Cmd{s.upsd}
	for _, p := range s.proc {
		procs = append(procs, p)
	}
	for _, p := range procs {
		p.Process.Signal(syscall.SIGTERM)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		for _, p := range procs {
			p.Process.Kill()
		}
	})
	defer stop()
	for _, p := range procs {
		if err := p.Wait(); err != nil {
			t.Errorf("%s ended with %v", p.Args, err)
		}
	}
	left, _ := filepath.Glob(filepath.Join(s.dir, "*-*"))
	if len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if t.Failed() {
		if log, err := os.ReadFile(filepath.Join(s.dir, "log")); err == nil {
			t.Logf("the last of the log:\n%s", log[max(0, len(log)-8000):])
		}
	}
}
