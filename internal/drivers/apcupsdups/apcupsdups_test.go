package apcupsdups_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/driver"
	"gonut/internal/drivers/apcupsdups"
	"gonut/internal/memnet"
	"gonut/internal/netproto"
	"gonut/internal/upstream/upstreamtest"
)

const report = `APC      : 001,036,0870
DATE     : 2026-03-05 17:27:32 +0100
HOSTNAME : host
VERSION  : 3.14.14 (31 May 2016) debian
UPSNAME  : back
MODEL    : Back-UPS ES 700G
STATUS   : ONLINE TRIM
LINEV    : 230.0 Volts
LOADPCT  : 12.0 Percent
BCHARGE  : 100.0 Percent
TIMELEFT : 43.5 Minutes
MBATTCHG : 5 Percent
MINTIMEL : 3 Minutes
SENSE    : Medium
LOTRANS  : 180.0 Volts
HITRANS  : 266.0 Volts
BATTV    : 13.5 Volts
LASTXFER : Unacceptable line voltage changes
SELFTEST : NO
STESTI   : 7 days
DWAKE    : 60 Seconds
DSHUTD   : 20 Seconds
ITEMP    : N/A
SERIALNO : 5B0000T00000
BATTDATE : 2019-01-02
NOMINV   : 230 Volts
NOMPOWER : 405 Watts
FIRMWARE : 871.O4 .I USB FW:O4
END APC  : 2026-03-05 17:27:33 +0100
`

// frame puts lines behind their lengths.
func frame(text string) []byte {
	var b bytes.Buffer
	for line := range strings.Lines(text) {
		binary.Write(&b, binary.BigEndian, uint16(len(line)))
		b.WriteString(line)
	}
	b.Write([]byte{0, 0})
	return b.Bytes()
}

// A server answers each connection's request with the same bytes.
type server struct {
	mu     sync.Mutex
	answer []byte // nil: says nothing
}

func (s *server) set(answer []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *server) serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			request := make([]byte, 8)
			if _, err := io.ReadFull(c, request); err != nil || string(request) != "\x00\x06status" {
				return
			}
			s.mu.Lock()
			answer := s.answer
			s.mu.Unlock()
			if answer == nil {
				c.Read(request)
				return
			}
			c.Write(answer)
		}()
	}
}

func setUp(t *testing.T) (*server, *driver.Session) {
	t.Helper()
	var network memnet.Network
	l, err := network.Listen(t.Context(), "tcp", "host:3551")
	if err != nil {
		t.Fatal(err)
	}
	srv := &server{answer: frame(report)}
	go srv.serve(l)
	c := driver.NewConfig("apc", "host")
	c.Values.Dial = network.Dial
	s := driver.NewSession(apcupsdups.Driver(), c, driver.Hooks{}, slog.New(slog.NewTextHandler(t.Output(), nil)))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		l.Close()
	})
	synctest.Wait()
	return srv, s
}

func TestValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, s := setUp(t)
		for name, value := range map[string]string{
			"ups.status": "OL TRIM", "ups.model": "Back-UPS ES 700G", "ups.mfr": "APC", "ups.id": "back",
			"battery.charge": "100.0", "battery.charge.low": "5", "battery.runtime": "2610", "battery.runtime.low": "180",
			"battery.voltage": "13.5", "battery.date": "2019-01-02", "input.voltage": "230.0", "input.sensitivity": "M",
			"input.transfer.low": "180.0", "input.transfer.high": "266.0", "input.transfer.reason": "Unacceptable line voltage changes",
			"input.voltage.nominal": "230", "ups.load": "12.0", "ups.realpower.nominal": "405", "ups.serial": "5B0000T00000",
			"ups.date": "2026-03-05", "ups.time": "17:27:32", "ups.delay.start": "60", "ups.delay.shutdown": "20",
			"ups.test.interval": "604800", "ups.test.result": "NO", "ups.firmware": "871.O4 .I", "ups.firmware.aux": "O4",
			"ups.temperature": "", "device.model": "Back-UPS ES 700G",
		} {
			upstreamtest.Want(t, s, name, value)
		}
		upstreamtest.Do(t, s, "INSTCMD load.off", netproto.Unknown)
	})
}

// apcupsd says -1 for a limit that it was told to have none of.
func TestNoLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, s := setUp(t)
		srv.set(frame("STATUS : ONLINE\nMBATTCHG : -1 Percent\nMINTIMEL : -1 Minutes\nMODEL : other\n"))
		time.Sleep(3 * time.Second)
		upstreamtest.Want(t, s, "ups.model", "other")
		upstreamtest.Want(t, s, "battery.charge.low", "")
		upstreamtest.Want(t, s, "battery.runtime.low", "")
	})
}

func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, s := setUp(t)
		for words, want := range map[string]string{
			"ONLINE": "OL", "ONBATT LOWBATT": "OB LB", "ONLINE REPLACEBATT OVERLOAD": "OL RB OVER", "CAL ONBATT": "CAL OB", "ONLINE SELFTEST SLAVE": "OL", "SELFTEST": "OB", "SHUTTING DOWN": "OB FSD",
			"SELFTEST ONBATT": "OB", "ONLINE NOBATT": "OL BYPASS", "BOOST ONLINE": "BOOST OL",
		} {
			srv.set(frame("STATUS : " + words + "\n"))
			time.Sleep(3 * time.Second)
			if got := s.State().Value("ups.status"); got != want {
				t.Errorf("STATUS %s: ups.status = %q; want %q", words, got, want)
			}
		}
	})
}

func TestBadServersMakeDataStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, s := setUp(t)
		endless := bytes.Repeat([]byte{0, 2, 'a', '\n'}, 100000)
		for name, answer := range map[string][]byte{
			"lost ups":  frame("STATUS : COMMLOST\n"),
			"no status": frame("MODEL : x\n"),
			"cut off":   frame(report)[:100],
			"nonsense":  []byte("HTTP/1.1 400 Bad Request\r\n\r\n"),
			"endless":   endless,
			"silence":   nil,
		} {
			srv.set(frame(report))
			time.Sleep(20 * time.Second)
			if s.State().Stale() {
				t.Errorf("before %s: stale", name)
			}
			srv.set(answer)
			time.Sleep(10 * time.Second)
			if !s.State().Stale() {
				t.Errorf("%s: not stale", name)
			}
		}
	})
}

func TestAddresses(t *testing.T) {
	for port, want := range map[string]string{
		"host": "host:3551", "host:1": "host:1", "::1": "[::1]:3551", "[::1]": "[::1]:3551", "[::1]:2": "[::1]:2", "/dev/ttyS0": "", ":1": "", "a@b": "",
	} {
		dialed := ""
		v := driver.Values{Port: port, Dial: func(_ context.Context, _, addr string) (net.Conn, error) {
			dialed = addr
			return nil, io.EOF
		}}
		apcupsdups.Driver().Open(t.Context(), v, slog.New(slog.DiscardHandler))
		if dialed != want {
			t.Errorf("port %q is dialled as %q; want %q", port, dialed, want)
		}
	}
}
