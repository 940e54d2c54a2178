package daemon

import (
	"fmt"
	"net"
	"os"
	"strconv"
)

// firstListenFD is where the service manager puts the sockets that it opened.
const firstListenFD = 3

// InheritedListeners returns the stream sockets that the service manager has
// opened for this process (LISTEN_FDS and LISTEN_PID), none if it has not.
func InheritedListeners(getenv func(string) string) ([]net.Listener, error) {
	count, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || count <= 0 || getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	var ls []net.Listener
	for i := range count {
		f := os.NewFile(uintptr(firstListenFD+i), fmt.Sprintf("inherited socket %d", i+1))
		l, err := net.FileListener(f)
		f.Close()
		if err != nil {
			for _, l := range ls {
				l.Close()
			}
			return nil, fmt.Errorf("take over inherited socket %d: %w", i+1, err)
		}
		ls = append(ls, l)
	}
	return ls, nil
}
