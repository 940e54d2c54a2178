package load

import (
	"bufio"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// serve answers NETVER and LOGOUT as they should be answered and everything else
// with answer.
func serve(t *testing.T, answer string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				for r := bufio.NewScanner(c); r.Scan(); {
					switch r.Text() {
					case "NETVER":
						io.WriteString(c, "1.3\n")
					case "LOGOUT":
						io.WriteString(c, "OK Goodbye\n")
						return
					default:
						io.WriteString(c, answer)
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}

func exchange(send, want string) Exchange { return Exchange{[]byte(send), []byte(want)} }

func TestRightAnswers(t *testing.T) {
	addr := serve(t, "BEGIN\nx\nEND\n")
	x := exchange("LIST\n", "BEGIN\nx\nEND\n")
	crowd := Gather(t.Context(), addr, 20)
	defer crowd.Close()
	if n := crowd.Len(); n != 20 {
		t.Fatalf("%d clients are connected; want 20: %v", n, crowd.failed)
	}
	for _, pause := range []time.Duration{0, time.Millisecond} {
		r := crowd.Poll(x, 20*time.Millisecond, pause)
		if r.Failed() != 0 || len(r.Samples) == 0 || r.PerSecond() <= 0 {
			t.Errorf("Poll() with pause %v: %d samples, errors %s %v", pause, len(r.Samples), r.ErrorText(), r.Example)
		}
	}
	if n := crowd.Check(); n != 20 {
		t.Errorf("Check() = %d; want 20", n)
	}
	r := Visit(t.Context(), addr, 3, x, false, 20*time.Millisecond)
	if r.Failed() != 0 || len(r.Samples) == 0 {
		t.Errorf("Visit(): %d samples, errors %s %v", len(r.Samples), r.ErrorText(), r.Example)
	}
}

// Wrong answers are seen at their first wrong byte, also if they are shorter than
// the right ones.
func TestWrongAnswers(t *testing.T) {
	for _, answer := range []string{"ERR DATA-STALE\n", "BEGIN\nX\nEND\n", "B\n"} {
		c, err := Dial(t.Context(), serve(t, answer), time.Now().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		x := exchange("LIST\n", "BEGIN\nx\nEND\n")
		err = c.Ask(&x)
		var wrong *WrongAnswer
		if !errors.As(err, &wrong) || wrong.Request != "LIST\n" || !strings.HasPrefix(answer, wrong.Got) {
			t.Errorf("Ask() answered %q = %v; want a WrongAnswer", answer, err)
		}
		if kind(err) != "wrong answer" {
			t.Errorf("kind(%v) = %s", err, kind(err))
		}
	}
}

func TestErrorsAreCounted(t *testing.T) {
	addr := serve(t, "no\n")
	crowd := Gather(t.Context(), addr, 4)
	defer crowd.Close()
	r := crowd.Poll(exchange("GET\n", "yes\n"), time.Millisecond, 0)
	if r.Failed() != 4 || r.ErrorText() != "4 × wrong answer" || r.Example == nil || len(r.Samples) != 0 {
		t.Errorf("Poll(): %d failed, %q, %v, %d samples; want 4 wrong answers", r.Failed(), r.ErrorText(), r.Example, len(r.Samples))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	none := Gather(t.Context(), l.Addr().String(), 2)
	if r := none.Poll(exchange("GET\n", "yes\n"), time.Millisecond, 0); r.ErrorText() != "2 × lost connection" {
		t.Errorf("nobody listens: %q; want 2 lost connections", r.ErrorText())
	}
}

func TestQuantile(t *testing.T) {
	var s Samples
	for i := range 100 {
		s = append(s, time.Duration(100-i))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 51, 0.99: 100, 1: 100} {
		if got := slices.Clone(s).Quantile(q); got != want {
			t.Errorf("Quantile(%v) = %d; want %d", q, got, want)
		}
	}
	if got := (Samples)(nil).Quantile(0.5); got != 0 {
		t.Errorf("Quantile() of nothing = %v; want 0", got)
	}
}
