package upssched

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"gonut/internal/upssched/schedule"
)

// slowWait is how long a command waits for the one before it.
const slowWait = 10 * time.Second

// A runner runs commands without holding anybody up: those of one key one after the
// other, of several at the same time. A command that takes long is left behind; the
// next one of its key begins beside it.
type runner struct {
	log *slog.Logger
	// ended is signalled when a command has ended.
	ended chan struct{}

	mu      sync.Mutex // guards what follows
	last    map[string]*running
	pending int
	none    chan struct{} // closed when pending is 0; nil: nobody waits for that
}

// running is one command, waiting or at work.
type running struct{ began, done chan struct{} }

func newRunner(log *slog.Logger) *runner {
	return &runner{log: log, ended: make(chan struct{}, 1), last: make(map[string]*running)}
}

// run has a command run by exec after those of the same key. It does not wait.
func (r *runner) run(key string, what schedule.Run, exec func(schedule.Run) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.last[key]
	me := &running{make(chan struct{}), make(chan struct{})}
	r.last[key] = me
	r.pending++
	go func() {
		defer r.end(key, me)
		if before != nil {
			r.await(what, before)
		}
		close(me.began)
		if err := exec(what); err != nil {
			r.report(what, err)
		}
	}()
}

// await waits for the command before, but not for ever.
func (r *runner) await(what schedule.Run, before *running) {
	<-before.began
	t := time.NewTimer(slowWait)
	defer t.Stop()
	select {
	case <-before.done:
	case <-t.C:
		r.log.Warn("the command before is still running; this one begins beside it", "command", what.Command)
	}
}

func (r *runner) end(key string, me *running) {
	close(me.done)
	r.mu.Lock()
	if r.last[key] == me {
		delete(r.last, key)
	}
	if r.pending--; r.pending == 0 && r.none != nil {
		close(r.none)
		r.none = nil
	}
	r.mu.Unlock()
	select {
	case r.ended <- struct{}{}:
	default:
	}
}

// busy reports whether commands are running or waiting.
func (r *runner) busy() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pending > 0
}

// wait waits until all commands have ended, at most as long as limit; 0 means as long
// as it takes.
func (r *runner) wait(limit time.Duration) {
	r.mu.Lock()
	if r.pending == 0 {
		r.mu.Unlock()
		return
	}
	if r.none == nil {
		r.none = make(chan struct{})
	}
	none := r.none
	r.mu.Unlock()
	var late <-chan time.Time
	if limit > 0 {
		t := time.NewTimer(limit)
		defer t.Stop()
		late = t.C
	}
	select {
	case <-none:
	case <-late:
	}
}

// report logs how a command failed: its own verdict is no error of ours.
func (r *runner) report(what schedule.Run, err error) {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		r.log.Info("CMDSCRIPT has ended", "command", what.Command, "code", exit.ExitCode())
		return
	}
	r.log.Warn("run CMDSCRIPT", "command", what.Command, "err", err)
}

// A script runs CMDSCRIPT.
type script struct {
	words          []string // the program and its first arguments
	stdout, stderr *os.File // nil: nowhere
}

// run runs the program with a command as its last argument and waits for its end.
func (s script) run(r schedule.Run) error {
	program, args := s.program()
	cmd := exec.Command(program, append(args, r.Command)...)
	cmd.Env = append(os.Environ(), schedule.Environ(r.Origins)...)
	if s.stdout != nil {
		cmd.Stdout = s.stdout
	}
	if s.stderr != nil {
		cmd.Stderr = s.stderr
	}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run %s: %w", program, err)
	}
	return nil
}

// program returns what to run. Up to 2.8.5, C gave CMDSCRIPT to a shell, so that
// arguments within one pair of quotes were arguments: they still are if there is no
// program of that name.
func (s script) program() (name string, args []string) {
	name, args = s.words[0], append([]string(nil), s.words[1:]...)
	if !strings.Contains(name, " ") {
		return name, args
	}
	if _, err := os.Stat(name); err == nil {
		return name, args
	}
	fields := strings.Fields(name)
	if len(fields) == 0 {
		return name, args
	}
	return fields[0], append(fields[1:], args...)
}
