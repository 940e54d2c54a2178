package clients

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gonut/internal/program"
	"gonut/upsclient"
)

const upscmdHelp = `usage: upscmd -l UPS
       upscmd [-u NAME] [-p PASSWORD] [-w] [-t SECS] UPS COMMAND [VALUE]

Runs an instant command on a ups. UPS is upsname[@HOST[:PORT]].

  -l         list the commands of the ups
` + orderHelp

// UPSCmd is upscmd, which runs instant commands.
func UPSCmd() program.Program {
	return program.Program{
		Name:    "upscmd",
		Summary: "run an instant command on a ups, or list them",
		Run:     runUPSCmd,
	}
}

func runUPSCmd(ctx context.Context, e program.Env) (err error) {
	r := &order{call: newCall(e, "upscmd", upscmdHelp), limit: 10 * time.Second}
	defer r.finish(&err)
	list := false
	operands, done, err := r.options("l"+orderOptions, func(o program.Option) error {
		if o.Letter == 'l' {
			list = true
		}
		return r.option(o)
	})
	if done {
		return err
	}
	if len(operands) == 0 {
		r.printHelp()
		return nil
	}
	system, c, err := r.reach(ctx, operands)
	if err != nil {
		return err
	}
	defer c.Logout(ctx)
	if list {
		return r.listCommands(ctx, c, system.UPS)
	}
	if len(operands) == 1 {
		r.printHelp()
		return nil
	}
	if !strings.Contains(operands[1], ".") {
		return program.Exitf(1, "Error: old command names are not supported")
	}
	if err := r.login.complete(r.call, r.auth.Lookup("", system.Name, system.Port)); err != nil {
		return program.Exitf(1, "Error: %v", err)
	}
	if err := r.authenticate(ctx, c); err != nil {
		return err
	}
	request := []string{"INSTCMD", system.UPS, operands[1]}
	if len(operands) > 2 {
		request = append(request, operands[2])
	}
	return r.give(ctx, c, request...)
}

// listCommands prints the commands of a ups with what they do.
func (r *order) listCommands(ctx context.Context, c *upsclient.Client, ups string) error {
	commands, err := c.ListCommands(ctx, ups)
	if err != nil {
		return r.failList(err)
	}
	fmt.Fprintf(r.Stdout, "Instant commands supported on UPS [%s]:\n\n", ups)
	for _, name := range commands {
		text, err := c.CommandDescription(ctx, ups, name)
		switch {
		case c.Err() != nil:
			return r.fail(err)
		case err != nil:
			fmt.Fprintln(r.Stdout, name)
		default:
			fmt.Fprintf(r.Stdout, "%s - %s\n", name, text)
		}
	}
	return nil
}
