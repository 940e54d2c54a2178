package upssched

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gonut/internal/ups"
	"gonut/internal/upssched/schedule"
	"gonut/internal/words"
)

// What the timer process answers. Each line ends with a line feed.
const (
	replyOK      = "OK"
	replyUnknown = "ERR UNKNOWN"
	listBegin    = "BEGIN LIST TIMERS"
	listEnd      = "END LIST TIMERS"
	listRequest  = "LIST-TIMERS"
)

// errUnknown is a request that means nothing.
var errUnknown = errors.New("unknown request")

// encode returns an order as a line for the timer process: the verb, its two
// arguments and where the order comes from, all in quotes as C writes them.
func encode(e schedule.Event) string {
	switch e := e.(type) {
	case schedule.Start:
		verb := "START"
		if e.Shared {
			verb = "START-SHARED"
		}
		return requestLine(verb, e.Name, strconv.Itoa(int(e.After/time.Second)), e.Origin)
	case schedule.Cancel:
		verb := "CANCEL"
		if e.Matched {
			verb = "CANCEL-MATCHED"
		}
		return requestLine(verb, e.Name, e.Else, e.Origin)
	}
	return requestLine(listRequest, "", "", schedule.Origin{})
}

func requestLine(verb, first, second string, o schedule.Origin) string {
	b := []byte(verb)
	for _, w := range []string{first, second, o.Type, o.UPS, o.Message} {
		b = append(b, ' ')
		// A line feed within the quotes would vanish, and join two words.
		b = words.AppendQuoted(b, strings.ReplaceAll(w, "\n", " "))
	}
	return string(append(b, '\n'))
}

// older returns the nearest that a timer process of before 2.8.3 can do, which knows
// neither shared timers nor matched cancellations.
func older(e schedule.Event) (schedule.Event, bool) {
	switch e := e.(type) {
	case schedule.Start:
		shared := e.Shared
		e.Shared = false
		return e, shared
	case schedule.Cancel:
		matched := e.Matched
		e.Matched = false
		return e, matched
	}
	return e, false
}

// decode returns the order that the words of a request mean; list is set instead if
// it asks for the list of timers. The words of the origin may be missing: clients
// before 2.8.3 do not send them.
func decode(ws []string) (e schedule.Event, list bool, err error) {
	word := func(i int) string {
		if i < len(ws) {
			return ws[i]
		}
		return ""
	}
	o := schedule.Origin{Type: word(3), UPS: word(4), Message: word(5)}
	switch verb := word(0); {
	case (verb == "START" || verb == "START-SHARED") && len(ws) > 2:
		// Not stricter than C: a client that gets no OK tries 30 times.
		n := min(max(ups.Atoi(ws[2]), -1), 1<<31-1)
		return schedule.Start{Name: ws[1], After: time.Duration(n) * time.Second, Shared: verb == "START-SHARED", Origin: o}, false, nil
	case (verb == "CANCEL" || verb == "CANCEL-MATCHED") && len(ws) > 1:
		return schedule.Cancel{Name: ws[1], Else: word(2), Matched: verb == "CANCEL-MATCHED", Origin: o}, false, nil
	case verb == listRequest:
		return nil, true, nil
	}
	return nil, false, errUnknown
}

// listing returns the answer to a request for the list of timers.
func listing(now time.Time, timers []schedule.Timer) string {
	var b bytes.Buffer
	fmt.Fprintln(&b, listBegin)
	for _, t := range timers {
		left := max(t.Due.Sub(now), 0)
		fields := []string{
			t.Name, strconv.FormatInt(now.Add(left).Unix(), 10), strconv.Itoa(int((left + time.Second - 1) / time.Second)),
			schedule.Types(t.Origins), schedule.UPSes(t.Origins), schedule.Messages(t.Origins),
		}
		for i, f := range fields {
			if f == "" {
				fields[i] = `""`
			}
		}
		fmt.Fprintln(&b, strings.Join(fields, "\t"))
	}
	fmt.Fprintln(&b, listEnd)
	return b.String()
}
