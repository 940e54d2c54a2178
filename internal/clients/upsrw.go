package clients

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gonut/internal/netproto"
	"gonut/internal/program"
	"gonut/internal/ups"
	"gonut/upsclient"
)

const upsrwHelp = `usage: upsrw [-l] UPS
       upsrw -s VARIABLE[=VALUE] [-u NAME] [-p PASSWORD] [-w] [-t SECS] UPS

Lists the variables of a ups that can be set, or sets one. UPS is
upsname[@HOST[:PORT]].

  -l         list the variables; this is the default
  -s         set a variable; without =VALUE the value is asked for
` + orderHelp

// UPSRW is upsrw, which sets variables.
func UPSRW() program.Program {
	return program.Program{
		Name:    "upsrw",
		Summary: "set a variable of a ups, or list those that can be set",
		Run:     runUPSRW,
	}
}

func runUPSRW(ctx context.Context, e program.Env) (err error) {
	r := &order{call: newCall(e, "upsrw", upsrwHelp), limit: 10 * time.Second}
	defer r.finish(&err)
	set, setting := "", false
	operands, done, err := r.options("ls:"+orderOptions, func(o program.Option) error {
		switch o.Letter {
		case 'l':
			if setting {
				r.warn("Listing mode requested, overriding setvar specified earlier!")
			}
			setting = false
		case 's':
			set, setting = o.Arg, true
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
	if !setting {
		return r.listVariables(ctx, c, system.UPS)
	}
	return r.setVariable(ctx, c, system, set)
}

// setVariable does what -s says: "name" or "name=value".
func (r *order) setVariable(ctx context.Context, c *upsclient.Client, system netproto.System, set string) error {
	name, value, hasValue := strings.Cut(set, "=")
	err := r.login.complete(r.call, r.auth.Lookup("", system.Name, system.Port))
	if err == nil && !strings.Contains(name, ".") {
		err = errors.New("old variable names are not supported")
	}
	if err == nil && !hasValue {
		value, err = r.ask(fmt.Sprintf("Enter new value for %s: ", name))
	}
	if err != nil {
		return program.Exitf(1, "Error: %v", err)
	}
	if err := r.authenticate(ctx, c); err != nil {
		return err
	}
	return r.give(ctx, c, "SET", "VAR", system.UPS, name, value)
}

// listVariables prints the variables that can be set, each with what is known of
// it.
func (r *order) listVariables(ctx context.Context, c *upsclient.Client, upsName string) error {
	list, err := c.ListRW(ctx, upsName)
	if err != nil {
		return r.failList(err)
	}
	for _, v := range list {
		text, err := c.Description(ctx, upsName, v.Name)
		if err != nil {
			text = netproto.NoDescription
		}
		fmt.Fprintf(r.Stdout, "[%s]\n%s\n", v.Name, text)
		r.printType(ctx, c, upsName, v)
		fmt.Fprintln(r.Stdout)
		if c.Err() != nil {
			return r.fail(c.Err())
		}
	}
	return nil
}

// printType prints what a variable may hold and what it holds.
func (r *order) printType(ctx context.Context, c *upsclient.Client, upsName string, v upsclient.Variable) {
	t, err := c.Type(ctx, upsName, v.Name)
	if err != nil {
		fmt.Fprintln(r.Stdout, "Unknown type")
		return
	}
	scalar := "NUMBER"
	if t.Has("STRING") {
		scalar = "STRING"
	}
	length := func() {
		if t.Has("STRING") {
			fmt.Fprintf(r.Stdout, "Maximum length: %d\n", t.MaxLen())
		}
	}
	switch {
	case t.Has("RANGE"):
		fmt.Fprintln(r.Stdout, "Type: RANGE NUMBER")
		r.printRanges(ctx, c, upsName, v)
	case t.Has("ENUM"):
		if !t.Has("STRING") && !t.Has("NUMBER") {
			scalar = ""
		}
		fmt.Fprintln(r.Stdout, strings.TrimSpace("Type: ENUM "+scalar))
		length()
		r.printEnum(ctx, c, upsName, v)
	case t.Has("STRING"), t.Has("NUMBER"):
		fmt.Fprintf(r.Stdout, "Type: %s\n", scalar)
		length()
		fmt.Fprintf(r.Stdout, "Value: %s\n", v.Value)
	default:
		for _, w := range t {
			if !strings.EqualFold(w, "RW") {
				fmt.Fprintf(r.Stdout, "Type: %s (unrecognized)\n", w)
			}
		}
	}
}

func (r *order) printEnum(ctx context.Context, c *upsclient.Client, upsName string, v upsclient.Variable) {
	values, err := c.ListEnum(ctx, upsName, v.Name)
	if err != nil {
		r.warn("Error: %s", upsclient.Label(err))
		return
	}
	for _, value := range values {
		r.printOption(value, value == v.Value)
	}
}

func (r *order) printRanges(ctx context.Context, c *upsclient.Client, upsName string, v upsclient.Variable) {
	ranges, err := c.ListRange(ctx, upsName, v.Name)
	if err != nil {
		r.warn("Error: %s", upsclient.Label(err))
		return
	}
	n := ups.Atoi(v.Value)
	for _, g := range ranges {
		r.printOption(g.Min+"-"+g.Max, n >= ups.Atoi(g.Min) && n <= ups.Atoi(g.Max))
	}
}

func (r *order) printOption(text string, selected bool) {
	mark := ""
	if selected {
		mark = " SELECTED"
	}
	fmt.Fprintf(r.Stdout, "Option: \"%s\"%s\n", text, mark)
}
