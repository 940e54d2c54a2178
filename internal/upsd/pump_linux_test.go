package upsd

import (
	"syscall"
	"testing"
	"time"
)

// Who is alone is waited for; whoever has company, or takes its time, is not.
func TestWhoIsAlone(t *testing.T) {
	s, _ := offlineServer(t)
	s.single = false
	var now int64
	turn := func(p *pump, after time.Duration) bool {
		now += int64(after)
		before := p.s.heardAt.Load()
		p.s.heardAt.Store(now)
		return p.isAlone(before)
	}
	a, b := &pump{s: &session{server: s, seq: 1}}, &pump{s: &session{server: s, seq: 2}}
	quickly := func(p *pump, n int) (last bool) {
		for range n {
			last = turn(p, closeBy/2)
		}
		return last
	}
	if quickly(a, aloneReads) {
		t.Error("waited for after too few requests")
	}
	if !quickly(a, 2) {
		t.Error("not waited for after enough requests")
	}
	turn(a, 2*closeBy)
	if quickly(a, aloneReads) {
		t.Error("waited for soon after a pause")
	}
	quickly(a, 10)
	turn(b, closeBy/2)
	turn(b, closeBy/2) // closely behind its own
	if quickly(a, aloneReads) {
		t.Error("waited for soon after another's request")
	}
	for range 100 {
		if turn(a, closeBy/4) || turn(b, closeBy/4) {
			t.Fatal("waited for one of two who ask in turn")
		}
	}
	s.single = true
	if quickly(a, 100) {
		t.Error("waited for, though the client needs our only processor")
	}
}

// Waits in vain become rare.
func TestLingerInVain(t *testing.T) {
	s, _ := offlineServer(t)
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fds[0])
	defer syscall.Close(fds[1])
	p := &pump{s: &session{server: s, seq: 1}}
	var buf [64]byte
	last := 0
	for range 20 {
		if n, err := p.linger(fds[0], buf[:]); n != 0 || err != syscall.EAGAIN {
			t.Fatalf("linger() = %d, %v; want 0, EAGAIN", n, err)
		}
		if p.alone >= 0 || p.alone > last || p.alone < -vainMost {
			t.Errorf("alone = %d after %d; want it to fall, to %d at most", p.alone, last, -vainMost)
		}
		last = p.alone
	}
	if last != -vainMost {
		t.Errorf("alone = %d in the end; want %d", last, -vainMost)
	}
	if _, err := syscall.Write(fds[1], []byte("NETVER\n")); err != nil {
		t.Fatal(err)
	}
	if n, err := p.linger(fds[0], buf[:]); n != 7 || err != nil || p.vain >= vainMost {
		t.Errorf("linger() = %d, %v, vain %d; want 7 bytes and fewer vain waits", n, err, p.vain)
	}
}
