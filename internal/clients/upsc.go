package clients

import (
	"context"
	"fmt"
	"strings"

	"gonut/internal/netproto"
	"gonut/internal/program"
	"gonut/upsclient"
)

const upscHelp = `usage: upsc [-j] -l | -L [HOST[:PORT]]
       upsc [-j] UPS [VARIABLE]
       upsc [-j] -c UPS

Prints what an upsd knows. UPS is upsname[@HOST[:PORT]]; the host is localhost
and the port 3493 unless it says otherwise.

  -l         the names of all ups of the host
  -L         their names and descriptions
  -c         the clients that are logged in to the ups
  -j         print JSON
  neither    all variables of the ups with their values, or the value of one
`

// UPSC is upsc, which prints what an upsd knows.
func UPSC() program.Program {
	return program.Program{
		Name:    "upsc",
		Summary: "print the variables of a ups, or the ups of a host",
		Run:     runUPSC,
	}
}

// A upsc is what one run of upsc shall do.
type upsc struct {
	*call
	json       bool
	list, long bool
	clients    bool
	inObject   bool // an error in JSON has lines, as an object has
}

func runUPSC(ctx context.Context, e program.Env) (err error) {
	u := &upsc{call: newCall(e, "upsc", upscHelp)}
	defer u.finish(&err)
	operands, done, err := u.options("jlLc", func(o program.Option) error {
		switch o.Letter {
		case 'j':
			u.json = true
		case 'l':
			u.list = true
		case 'L':
			u.list, u.long = true, true
		case 'c':
			u.clients = true
		}
		return nil
	})
	if done {
		return err
	}
	if err := u.readAuth(); err != nil {
		return err
	}
	return u.print(ctx, operands)
}

// print connects to the server and prints what was asked for.
func (u *upsc) print(ctx context.Context, operands []string) error {
	var system netproto.System
	var err error
	if u.list {
		system.Host, err = u.host(operands)
	} else {
		system, err = u.system(operands, "\n")
	}
	if err != nil {
		return u.reject(err)
	}
	c, err := u.connect(ctx, system.Host)
	if err != nil {
		return u.reject(u.fail(err))
	}
	defer c.Logout(ctx)
	switch {
	case u.list:
		err = u.printList(ctx, c)
	case u.clients:
		err = u.printClients(ctx, c, system.UPS)
	case len(operands) > 1:
		err = u.printVariable(ctx, c, system.UPS, operands[1])
	default:
		err = u.printVariables(ctx, c, system.UPS)
	}
	if err != nil {
		return u.reject(u.failList(err))
	}
	return nil
}

// host reads the operand of -l.
func (u *upsc) host(operands []string) (netproto.Host, error) {
	text := "localhost"
	if len(operands) > 0 {
		text = operands[0]
	}
	h, err := netproto.ParseHost(text)
	if err != nil {
		u.warn("%s: %v", u.name, err)
		return h, program.Exitf(1, "Error: invalid hostname.\nRequired format: [hostname[:port]]")
	}
	return h, nil
}

// reject prints an error as JSON too, if that was asked for.
func (u *upsc) reject(err error) error {
	if !u.json {
		return err
	}
	text, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "Error: "), "\n")
	item := `"error": ` + jsonText(text)
	if u.inObject {
		writeJSON(u.Stdout, "{}", []string{item})
	} else {
		fmt.Fprintf(u.Stdout, "{%s}\n", item)
	}
	return err
}

func (u *upsc) printList(ctx context.Context, c *upsclient.Client) error {
	list, err := c.ListUPS(ctx)
	if err != nil {
		return err
	}
	var items []string
	for _, d := range list {
		switch {
		case u.json && u.long:
			items = append(items, jsonText(d.Name)+": "+jsonText(d.Description))
		case u.json:
			items = append(items, jsonText(d.Name))
		case u.long:
			fmt.Fprintf(u.Stdout, "%s: %s\n", d.Name, d.Description)
		default:
			fmt.Fprintln(u.Stdout, d.Name)
		}
	}
	if u.json && u.long {
		writeJSON(u.Stdout, "{}", items)
	} else if u.json {
		writeJSON(u.Stdout, "[]", items)
	}
	return nil
}

func (u *upsc) printClients(ctx context.Context, c *upsclient.Client, ups string) error {
	list, err := c.ListClients(ctx, ups)
	if err != nil {
		return err
	}
	if u.json {
		var items []string
		for _, addr := range list {
			items = append(items, jsonText(addr))
		}
		writeJSON(u.Stdout, "[]", items)
		return nil
	}
	for _, addr := range list {
		fmt.Fprintln(u.Stdout, addr)
	}
	return nil
}

func (u *upsc) printVariable(ctx context.Context, c *upsclient.Client, ups, name string) error {
	if !strings.Contains(name, ".") {
		return program.Exitf(1, "Error: old-style variable names are not supported")
	}
	value, err := c.Get(ctx, ups, name)
	if err != nil {
		return err
	}
	if u.json {
		value = jsonText(value)
	}
	fmt.Fprintln(u.Stdout, value)
	return nil
}

func (u *upsc) printVariables(ctx context.Context, c *upsclient.Client, ups string) error {
	u.inObject = true
	list, err := c.ListVars(ctx, ups)
	if err != nil {
		return err
	}
	var items []string
	for _, v := range list {
		if u.json {
			items = append(items, jsonText(v.Name)+": "+jsonText(v.Value))
		} else {
			fmt.Fprintf(u.Stdout, "%s: %s\n", v.Name, v.Value)
		}
	}
	if u.json {
		writeJSON(u.Stdout, "{}", items)
	}
	return nil
}
