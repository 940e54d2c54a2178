package upsd

import (
	"context"
	"time"

	"gonut/internal/ups"
)

// readyEvery is how often AwaitDevices looks.
const readyEvery = 20 * time.Millisecond

// AwaitDevices returns when every device of the table has current data, or when
// ctx ends. A monitor that starts before would find them missing.
func (s *Server) AwaitDevices(ctx context.Context) {
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for !s.ready() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) ready() bool {
	for _, d := range s.table.Load().list {
		if d.available() != "" || d.state.Value(ups.StatusName) == ups.WAIT {
			return false
		}
	}
	return true
}
