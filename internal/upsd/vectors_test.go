package upsd

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"gonut/internal/program"
)

// TestTranscripts plays every file of testdata: C: is a line to send, S: a line
// that has to come, D: a request that the driver has to have got, in order. A
// file's lines are one connection, or several with "client NAME" between them.
// {VERSION} stands for ours.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) { play(t, w, f) })
		})
	}
}

func play(t *testing.T, w *world, file string) {
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	clients := map[string]*client{}
	var c *client
	var requests []string
	r := bufio.NewScanner(f)
	for no := 1; r.Scan(); no++ {
		line := r.Text()
		text := strings.ReplaceAll(line[min(len(line), 3):], "{VERSION}", program.Version())
		switch {
		case line == "" || strings.HasPrefix(line, "--"):
			continue
		case strings.HasPrefix(line, "client "):
			name := line[len("client "):]
			if clients[name] == nil {
				clients[name] = w.dial()
			}
			c = clients[name]
			continue
		case c == nil:
			clients[""] = w.dial()
			c = clients[""]
		}
		switch line[:2] {
		case "C:":
			c.send(unescape(text) + "\n")
		case "S:":
			if got := c.line(); got != text {
				t.Errorf("%s:%d: got %q; want %q", file, no, got, text)
			}
		case "D:":
			synctest.Wait()
			requests = append(requests, w.driver.got()...)
			if len(requests) == 0 || requests[0] != text {
				t.Errorf("%s:%d: driver got %q; want %q first", file, no, requests, text)
			}
			requests = requests[min(1, len(requests)):]
		default:
			t.Fatalf("%s:%d: what is %q?", file, no, line)
		}
	}
	for name, c := range clients {
		c.conn.Close()
		if rest, _ := c.r.Peek(c.r.Buffered()); len(rest) > 0 {
			t.Errorf("%s: client %q got more than it should: %q", file, name, rest)
		}
	}
	synctest.Wait()
	if left := slices.Concat(requests, w.driver.got()); len(left) > 0 {
		t.Errorf("%s: the driver got more than it should: %q", file, left)
	}
}

// unescape lets a transcript hold line feeds and control bytes.
func unescape(s string) string {
	return strings.NewReplacer("<LF>", "\n", "<0x00>", "\x00", "<0x01>", "\x01", "<TAB>", "\t", "<CR>", "\r").Replace(s)
}
