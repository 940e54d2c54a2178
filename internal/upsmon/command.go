package upsmon

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"gonut/internal/conf"
)

// ExecNotifier runs NOTIFYCMD: its words, with the message as one more, and UPSNAME
// and NOTIFYTYPE in the environment. No shell is involved.
type ExecNotifier struct{}

// Flag returns conf.NotifyExec.
func (ExecNotifier) Flag() conf.NotifyFlag { return conf.NotifyExec }

// Notify runs the command and waits for its end.
func (x ExecNotifier) Notify(ctx context.Context, n Notification) error {
	if len(n.Command) == 0 {
		return nil
	}
	args := append(append([]string(nil), n.Command[1:]...), n.Text)
	cmd := exec.CommandContext(ctx, n.Command[0], args...)
	cmd.Env = append(os.Environ(), "UPSNAME="+n.UPS, "NOTIFYTYPE="+n.Type)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run NOTIFYCMD %s: %w", n.Command[0], err)
	}
	return nil
}

// WallNotifier writes messages to every terminal with a program such as wall.
type WallNotifier struct{ Program string }

// Flag returns conf.NotifyWall.
func (WallNotifier) Flag() conf.NotifyFlag { return conf.NotifyWall }

// Notify runs the program and waits for its end.
func (w WallNotifier) Notify(ctx context.Context, n Notification) error {
	cmd := exec.CommandContext(ctx, w.Program)
	cmd.Stdin = strings.NewReader(n.Text + "\n")
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("write to all terminals: run %s: %w", w.Program, err)
	}
	return nil
}

// shellCommand returns SHUTDOWNCMD as text for a shell: one word as it is, of
// several all but the first in quotes, as C passes them on.
func shellCommand(words []string) string {
	if len(words) == 0 {
		return ""
	}
	b := []byte(words[0])
	for _, w := range words[1:] {
		b = append(b, " '"...)
		b = append(b, strings.ReplaceAll(w, "'", `'\''`)...)
		b = append(b, '\'')
	}
	return string(b)
}
