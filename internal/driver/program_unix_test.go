//go:build unix

package driver_test

import (
	"bufio"
	"os"
	"os/exec"
	"testing"
)

// C's drivers remove their PID file first and give up socket and device later: the
// end of the process counts.
func TestReplacedDriverHasEndedNotOnlyItsPIDFile(t *testing.T) {
	k := newDesk(t, newBench())
	k.env["NUT_IGNORE_CHECKPROCNAME"] = "yes" // it is a shell
	pidFile := k.path("bench-ups.pid")
	first := exec.Command("/bin/sh", "-c", `echo $$ > "$0"; trap 'rm "$0"; sleep 0.5; echo ended; exit 0' TERM; echo serving; while :; do sleep 0.01; done`, pidFile)
	out, err := first.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { first.Process.Kill(); first.Wait() })
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "serving" {
		t.Fatalf("the first driver says %q", lines.Text())
	}
	second := k.start("-F", "-a", "ups")
	k.serving(second)
	first.Process.Kill()
	if !lines.Scan() {
		t.Errorf("the second driver serves while the first lives: %s", second.text())
	}
	if _, err := os.Stat(pidFile); err == nil {
		t.Error("the first driver's PID file is there; want it removed")
	}
}
