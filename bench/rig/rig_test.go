package rig

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"gonut/internal/drvsock"
	"gonut/internal/netproto"
	"gonut/internal/ups"
	"gonut/internal/words"
)

// What ListVar wants is what a server makes of the dump.
func TestDumpIsWhatListVarWants(t *testing.T) {
	state := ups.NewState()
	var lex words.Lexer
	for p := dump(); len(p) > 0; {
		n, done, err := lex.Feed(p)
		if err != nil {
			t.Fatal(err)
		}
		p = p[n:]
		if m := drvsock.Parse(lex.Words()); done && m.Kind == drvsock.Change {
			state.Apply(m.Change)
		}
	}
	snap := state.Snapshot()
	if len(snap.Variables) != 63 || snap.Stale {
		t.Errorf("%d variables, stale %v; want 63 current ones", len(snap.Variables), snap.Stale)
	}
	want := "BEGIN LIST VAR ups7\n"
	for _, v := range snap.Variables {
		want += string(netproto.AppendRow(nil, v.Value, "VAR", "ups7", v.Name))
	}
	want += "END LIST VAR ups7\n"
	if got := string(ListVar("ups7").Want); got != want {
		t.Errorf("ListVar wants\n%s\nbut the dump makes\n%s", got, want)
	}
	status, _ := snap.Variable("ups.status")
	if got := string(GetStatus("ups7").Want); got != string(netproto.AppendRow(nil, status.Value, "VAR", "ups7", "ups.status")) {
		t.Errorf("GetStatus wants %q", got)
	}
}

func TestDrivers(t *testing.T) {
	dir := t.TempDir()
	d, err := startDrivers(dir, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Set(1, "ups.status", "OB"); err == nil {
		t.Error("Set() without a connection gave no error")
	}
	c, err := net.Dial("unix", filepath.Join(dir, "bench-ups1"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "DUMPALL\nPING\n")
	r := bufio.NewReader(c)
	var got bytes.Buffer
	for !strings.HasSuffix(got.String(), "PONG\n") {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		got.WriteString(line)
	}
	if want := string(dump()) + "PONG\n"; got.String() != want {
		t.Errorf("the driver said %q; want %q", got.String(), want)
	}
	if err := d.Set(1, "ups.status", "OB"); err != nil {
		t.Error(err)
	}
	if line, err := r.ReadString('\n'); line != "SETINFO ups.status \"OB\"\n" {
		t.Errorf("after Set() the driver said %q, %v", line, err)
	}
}
