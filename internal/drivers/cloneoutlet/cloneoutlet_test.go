package cloneoutlet_test

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"gonut/internal/driver"
	"gonut/internal/drivers/cloneoutlet"
	"gonut/internal/netproto"
	"gonut/internal/upstream/upstreamtest"
)

func TestOutletStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := upstreamtest.New(t)
		real := b.Start("real-a", map[string]string{
			"ups.status": "OL", "outlet.1.status": "on", "outlet.1.delay.shutdown": "120", "outlet.1.timer.shutdown": "-1", "ups.id": "x",
		}, map[string]driver.Writable{"ups.id": {String: true, MaxLen: 5}}, "load.off")
		o := b.Attach(cloneoutlet.Driver(), "real-a", map[string]string{"prefix": "outlet.1"})
		for _, tt := range []struct{ status, outlet, timer, want string }{
			{"OL", "on", "-1", "OL"},
			{"OB", "on", "-1", "OB"},
			{"OB", "on", "120", "FSD OB"},
			{"OB LB", "on", "0", "FSD OB LB"},
			{"OB", "on", "121", "OB"}, // not its countdown
			{"OB", "off", "-1", "OB OFF"},
			{"OL", "OFF", "", "OL OFF"},
		} {
			real.Set("ups.status", tt.status, "outlet.1.status", tt.outlet, "outlet.1.timer.shutdown", tt.timer)
			if got := o.State().Value("ups.status"); got != tt.want {
				t.Errorf("%+v: ups.status = %q; want %q", tt, got, tt.want)
			}
		}
		upstreamtest.Want(t, o, "ups.id", "x")
		if v, _ := o.State().Variable("ups.id"); v.Flags != 0 {
			t.Errorf("flags of ups.id = %v; want none", v.Flags.Words())
		}
		if o.State().HasCommand("load.off") {
			t.Error("the outlet has a command load.off; want it read-only")
		}
		if _, ok := o.State().Variable("outlet.1.timer.shutdown"); ok {
			t.Error("a variable that the real driver forgot is still there")
		}
		upstreamtest.Do(t, o, "INSTCMD load.off", netproto.Unknown)
		upstreamtest.Do(t, o, "SET ups.id y", netproto.Invalid)
		real.Stop()
		time.Sleep(6 * time.Second)
		if !o.State().Stale() {
			t.Error("the real driver is gone and the outlet is not stale")
		}
	})
}

func TestOutletNeedsPrefix(t *testing.T) {
	_, err := cloneoutlet.Driver().Open(t.Context(), driver.Values{Port: "x"}, slog.New(slog.DiscardHandler))
	if !errors.Is(err, driver.ErrConfig) {
		t.Errorf("Open without prefix = %v; want ErrConfig", err)
	}
}
