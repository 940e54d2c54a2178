package sandbox

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// A timeline prints what happens, when and to whom, a line each.
type timeline struct {
	mu    sync.Mutex
	w     io.Writer
	start time.Time
}

func (t *timeline) printf(who, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.w, "%7.1fs  %-10s %s\n", time.Since(t.start).Seconds(), who, text)
}

// note prints a line that belongs to nobody.
func (t *timeline) note(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fmt.Fprintf(t.w, format+"\n", args...)
}
