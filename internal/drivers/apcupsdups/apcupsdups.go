// Package apcupsdups is the driver apcupsd-ups: it reads a UPS that apcupsd has, over
// apcupsd's network information server. Nothing can be set or done there.
package apcupsdups

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"gonut/internal/driver"
)

// Driver returns apcupsd-ups.
func Driver() driver.Driver {
	return driver.Driver{
		Name:        "apcupsd-ups",
		Version:     "0.75",
		Description: "apcupsd network client UPS driver",
		Check:       func(v driver.Values) error { _, err := address(v); return err },
		Open:        open,
	}
}

const (
	defaultPort = "3551"
	// answerLimit is how long apcupsd may take for all of an answer.
	answerLimit = 5 * time.Second
	// maxLines and maxLine bound what a broken server can make us keep.
	maxLines = 500
	maxLine  = 1024
)

type device struct {
	addr  string
	known map[string]bool // variables of the poll before
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
}

func open(ctx context.Context, v driver.Values, _ *slog.Logger) (driver.Device, error) {
	addr, err := address(v)
	if err != nil {
		return nil, err
	}
	d := &device{addr: addr, dial: v.Dial}
	if d.dial == nil {
		d.dial = new(net.Dialer).DialContext
	}
	if _, err := d.fetch(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

// address completes host[:port] of the port; an IPv6 address may stand alone or in brackets.
func address(v driver.Values) (string, error) {
	port := v.Port
	if strings.Count(port, ":") > 1 && !strings.HasPrefix(port, "[") {
		return net.JoinHostPort(port, defaultPort), nil
	}
	host, number, err := net.SplitHostPort(port)
	if err != nil {
		host, number = strings.Trim(port, "[]"), defaultPort
	}
	if host == "" || strings.ContainsAny(host, " /@") {
		return "", v.Wrong("port", "it must be host[:port] of an apcupsd")
	}
	return net.JoinHostPort(host, number), nil
}

// fetch asks for the status report and returns its values by key.
func (d *device) fetch(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	conn, err := d.dial(ctx, "tcp", d.addr)
	if err != nil {
		return nil, fmt.Errorf("connect to apcupsd: %w", err)
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	const request = "status"
	if _, err := conn.Write(append([]byte{0, byte(len(request))}, request...)); err != nil {
		return nil, fmt.Errorf("ask apcupsd at %s: %w", d.addr, err)
	}
	values, err := read(conn)
	if err != nil {
		return nil, fmt.Errorf("ask apcupsd at %s: %w", d.addr, err)
	}
	if values["STATUS"] == "" {
		return nil, fmt.Errorf("ask apcupsd at %s: the answer has no STATUS", d.addr)
	}
	return values, nil
}

// read takes lines "KEY : value", each behind its length in two bytes, up to one
// of length zero.
func read(r io.Reader) (map[string]string, error) {
	values := make(map[string]string)
	var size [2]byte
	for range maxLines {
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return nil, err
		}
		n := int(binary.BigEndian.Uint16(size[:]))
		if n == 0 {
			return values, nil
		}
		if n > maxLine {
			return nil, fmt.Errorf("a line of %d bytes is none of apcupsd's", n)
		}
		line := make([]byte, n)
		if _, err := io.ReadFull(r, line); err != nil {
			return nil, err
		}
		if key, value, ok := strings.Cut(string(line), ":"); ok {
			values[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return nil, errors.New("the answer does not end")
}

// Poll reads everything; apcupsd has it at hand.
func (d *device) Poll(ctx context.Context, _ driver.Depth, u *driver.Update) error {
	values, err := d.fetch(ctx)
	if err != nil {
		return err
	}
	words := strings.Fields(values["STATUS"])
	for _, w := range words {
		if w == "COMMLOST" {
			return fmt.Errorf("apcupsd has lost its UPS: %w", driver.ErrStale)
		}
		if t := token(w); t != "" {
			u.Status(t)
		}
	}
	// During a self-test, and when apcupsd has had enough, it says nothing of mains.
	has := func(w string) bool { return slices.Contains(words, w) }
	if (has("SELFTEST") || has("SHUTTING")) && !has("ONLINE") && !has("ONBATT") {
		u.Status("OB")
	}
	if has("SHUTTING") {
		u.Status("FSD")
	}
	u.Set("ups.mfr", "APC")
	known := make(map[string]bool)
	for _, row := range rows() {
		if v, ok := values[row.key]; ok {
			if v, ok := row.convert(v); ok {
				u.Set(row.name, v)
				known[row.name] = true
			}
		}
	}
	for name := range d.known {
		if !known[name] {
			u.Delete(name) // the report is always whole
		}
	}
	d.known = known
	return nil
}

// token is the token of ups.status that a word of apcupsd's STATUS means.
func token(word string) string {
	switch word {
	case "ONLINE":
		return "OL"
	case "ONBATT":
		return "OB"
	case "LOWBATT":
		return "LB"
	case "REPLACEBATT":
		return "RB"
	case "OVERLOAD":
		return "OVER"
	case "NOBATT":
		return "BYPASS" // there is nothing to bridge an outage with
	case "TRIM", "BOOST", "CAL":
		return word
	}
	return ""
}

// A row says which of apcupsd's values becomes which variable.
type row struct {
	key, name string
	convert   func(string) (string, bool)
}

// rows are all that are known. Several keys for one variable are tried in order.
func rows() []row {
	return []row{
		{"APCMODEL", "ups.model", text},
		{"MODEL", "ups.model", text},
		{"BCHARGE", "battery.charge", number},
		{"MBATTCHG", "battery.charge.low", limit(number)},
		{"RETPCT", "battery.charge.restart", number},
		{"BATTDATE", "battery.date", text},
		{"TIMELEFT", "battery.runtime", duration},
		{"MINTIMEL", "battery.runtime.low", limit(duration)},
		{"BATTV", "battery.voltage", number},
		{"NOMBATTV", "battery.voltage.nominal", number},
		{"LINEFREQ", "input.frequency", number},
		{"SENSE", "input.sensitivity", letter},
		{"HITRANS", "input.transfer.high", number},
		{"LOTRANS", "input.transfer.low", number},
		{"LASTXFER", "input.transfer.reason", text},
		{"LINEV", "input.voltage", number},
		{"MAXLINEV", "input.voltage.maximum", number},
		{"MINLINEV", "input.voltage.minimum", number},
		{"NOMINV", "input.voltage.nominal", number},
		{"LINEFREQ", "output.frequency", number},
		{"OUTCURNT", "output.current", number},
		{"OUTPUTV", "output.voltage", number},
		{"NOMOUTV", "output.voltage.nominal", number},
		{"DATE", "ups.date", word(0)},
		{"DATE", "ups.time", word(1)},
		{"DSHUTD", "ups.delay.shutdown", duration},
		{"DWAKE", "ups.delay.start", duration},
		{"FIRMWARE", "ups.firmware", firmware(0)},
		{"FIRMWARE", "ups.firmware.aux", firmware(1)},
		{"UPSNAME", "ups.id", text},
		{"LOADPCT", "ups.load", number},
		{"MANDATE", "ups.mfr.date", text},
		{"LOAD_VA", "ups.power", number},
		{"NOMAPNT", "ups.power.nominal", number},
		{"LOADAPNT", "ups.power.percent", number},
		{"LOAD_W", "ups.realpower", number},
		{"NOMPOWER", "ups.realpower.nominal", number},
		{"SERIALNO", "ups.serial", text},
		{"ITEMP", "ups.temperature", number},
		{"STESTI", "ups.test.interval", interval},
		{"SELFTEST", "ups.test.result", text},
	}
}

func text(v string) (string, bool) { return v, v != "" && v != "N/A" }

// number takes the number that a value begins with; a unit may follow.
func number(v string) (string, bool) {
	n, _, _ := strings.Cut(v, " ")
	if _, err := strconv.ParseFloat(n, 64); err != nil {
		return "", false
	}
	return n, true
}

// letter takes the first letter of a word, as other drivers have it: H for High.
func letter(v string) (string, bool) {
	if v, ok := text(v); ok {
		return v[:1], true
	}
	return "", false
}

// limit converts a limit unless it is negative: then apcupsd has none.
func limit(convert func(string) (string, bool)) func(string) (string, bool) {
	return func(v string) (string, bool) {
		v, ok := convert(v)
		return v, ok && !strings.HasPrefix(v, "-")
	}
}

// duration makes seconds of a value with its unit; without one it is in seconds.
func duration(v string) (string, bool) { return inSeconds(v, 1) }

// interval is duration where a value without unit is in hours.
func interval(v string) (string, bool) { return inSeconds(v, 3600) }

func inSeconds(v string, unit float64) (string, bool) {
	n, name, _ := strings.Cut(v, " ")
	x, err := strconv.ParseFloat(n, 64)
	if err != nil || x < -1e9 || x > 1e9 {
		return "", false
	}
	switch name := strings.ToLower(strings.TrimSpace(name)); {
	case strings.HasPrefix(name, "sec"):
		unit = 1
	case strings.HasPrefix(name, "min"):
		unit = 60
	case strings.HasPrefix(name, "hour"):
		unit = 3600
	case strings.HasPrefix(name, "day"):
		unit = 86400
	}
	return strconv.FormatFloat(x*unit, 'f', 0, 64), true
}

// word takes one of the words of a value.
func word(i int) func(string) (string, bool) {
	return func(v string) (string, bool) {
		if ws := strings.Fields(v); i < len(ws) {
			return ws[i], true
		}
		return "", false
	}
}

// firmware splits the versions of the UPS and of its USB part.
func firmware(i int) func(string) (string, bool) {
	return func(v string) (string, bool) {
		main, aux, _ := strings.Cut(v, "USB FW:")
		part := strings.TrimSpace([...]string{main, aux}[i])
		return part, part != ""
	}
}

// Wake returns nothing: apcupsd does not speak first.
func (d *device) Wake() <-chan struct{} { return nil }

// Command does nothing: apcupsd takes no orders.
func (d *device) Command(context.Context, string, string) error { return driver.ErrUnknown }

// Set does nothing: apcupsd takes no orders.
func (d *device) Set(context.Context, string, string) error { return driver.ErrUnknown }

// Close does nothing: each poll has a connection of its own.
func (d *device) Close() error { return nil }
