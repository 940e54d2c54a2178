//go:build unix

package interop

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gonut/internal/drvsock"
	"gonut/internal/ups"
)

// nisReport is what apcupsd says of a Smart-UPS.
const nisReport = `APC      : 001,049,1116
DATE     : 2026-03-05 17:27:32 +0000
HOSTNAME : host
UPSNAME  : RIG_UPS
MODEL    : SMART-UPS 700
STATUS   : @STATUS@
LINEV    : 230.1 Volts
LOADPCT  : 17.0 Percent
BCHARGE  : 100.0 Percent
TIMELEFT : 40.0 Minutes
MBATTCHG : 5 Percent
MINTIMEL : 3 Minutes
MAXLINEV : 231.0 Volts
MINLINEV : 229.0 Volts
OUTPUTV  : 230.0 Volts
SENSE    : High
DWAKE    : 0 Seconds
DSHUTD   : 20 Seconds
LOTRANS  : 196.0 Volts
HITRANS  : 253.0 Volts
RETPCT   : 15.0 Percent
ITEMP    : 25.0 C
BATTV    : 13.6 Volts
LINEFREQ : 50.0 Hz
LASTXFER : Automatic or explicit self test
SELFTEST : OK
STESTI   : 336
MANDATE  : 01/02/24
SERIALNO : RIGSN0001
BATTDATE : 01/02/24
NOMOUTV  : 230 Volts
NOMBATTV : 12.0 Volts
NOMPOWER : 450 Watts
FIRMWARE : 50.14.I
END APC  : 2026-03-05 17:27:33 +0000
`

// nis is an apcupsd's server of information.
type nis struct {
	mu     sync.Mutex
	report string
}

func (n *nis) set(report string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.report = report
}

func startNIS(t *testing.T) (n *nis, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	n = new(nis)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go n.serve(c)
		}
	}()
	return n, l.Addr().String()
}

func (n *nis) serve(c net.Conn) {
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, len("\x00\x06status"))); err != nil {
		return
	}
	n.mu.Lock()
	report := n.report
	n.mu.Unlock()
	var b bytes.Buffer
	for line := range strings.Lines(report) {
		b.Write([]byte{byte(len(line) >> 8), byte(len(line))})
		b.WriteString(line)
	}
	b.Write([]byte{0, 0})
	c.Write(b.Bytes())
}

// A lookout is a connection to a driver's socket through which a test looks at what
// the driver knows.
type lookout struct {
	t    *testing.T
	link *drvsock.Link
}

func (h *host) lookAt(driver, ups string) lookout {
	h.t.Helper()
	link, err := drvsock.Connect(h.t.Context(), drvsock.DialPath(filepath.Join(h.dir, "state", driver+"-"+ups)))
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { link.Close() })
	return lookout{h.t, link}
}

// values returns what the driver knows of its device.
func (l lookout) values() map[string]string {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 20*time.Second)
	defer cancel()
	cs, err := l.link.Dump(ctx)
	if err != nil {
		l.t.Fatal(err)
	}
	vs := make(map[string]string)
	for _, c := range cs {
		if c.Op == ups.SetInfo && !strings.HasPrefix(c.Name, "driver.") {
			vs[c.Name] = c.Args[0]
		}
	}
	return vs
}

// sameValue reports whether two values are equal, as numbers if they are numbers.
func sameValue(a, b string) bool {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return a == b || errX == nil && errY == nil && x == y
}

// differences tells what ours says otherwise than C's.
func differences(ours, c map[string]string) []string {
	var ds []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if got, ok := ours[name]; !ok || !sameValue(got, c[name]) {
			ds = append(ds, fmt.Sprintf("%s = %q; C says %q", name, got, c[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ours)) {
		if _, ok := c[name]; !ok {
			ds = append(ds, fmt.Sprintf("%s = %q; C says nothing", name, ours[name]))
		}
	}
	return ds
}

// Ours says of an apcupsd what C's driver says, but for what docs/differences.md
// lists.
func TestApcupsdUPSIsLikeC(t *testing.T) {
	t.Parallel()
	server, addr := startNIS(t)
	say := func(status, id string) {
		server.set(strings.NewReplacer("@STATUS@", status, "RIG_UPS", id).Replace(nisReport))
	}
	say("ONLINE", "id-0")
	conf := map[string]string{"ups.conf": "pollinterval = 1\n[apc]\n driver = apcupsd-ups\n port = " + addr + "\n"}
	hosts := [2]*host{newHost(t, conf), newHost(t, conf)}
	hosts[0].start(ourDriver("apcupsd-ups", "apc"))
	hosts[1].start(cDriver("apcupsd-ups", "apc"))
	var looks [2]lookout
	for i, h := range hosts {
		looks[i] = h.lookAt("apcupsd-ups", "apc")
	}
	for i, status := range []string{
		"ONLINE", "ONBATT LOWBATT", "ONLINE REPLACEBATT OVERLOAD", "TRIM ONLINE", "BOOST CAL ONLINE", "NOBATT ONLINE",
		"SELFTEST ONLINE", "SELFTEST",
	} {
		id := fmt.Sprintf("id-%d", i)
		say(status, id)
		var ours, c map[string]string
		hosts[0].eventually("both drivers have read "+status, func() error {
			ours, c = looks[0].values(), looks[1].values()
			if ours["ups.id"] != id || c["ups.id"] != id {
				return errIs(ours["ups.id"] + " and " + c["ups.id"])
			}
			return nil
		})
		delete(ours, "ups.test.interval") // in seconds, by its unit
		delete(c, "ups.test.interval")
		for _, d := range differences(ours, c) {
			t.Errorf("STATUS %s: %s", status, d)
		}
	}
}
