package usbip

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// controller is where vhci_hcd shows itself.
const controller = "/sys/devices/platform/vhci_hcd.0"

// Attach plugs a device in. It needs a loaded vhci_hcd and root. The kernel has
// then only begun to enumerate it.
func Attach(d Device, speed int) (*Plug, error) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("attach virtual device: %w", err)
	}
	defer syscall.Close(fds[1]) // the kernel keeps a reference of its own
	ours := os.NewFile(uintptr(fds[0]), "vhci")
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, fmt.Errorf("attach virtual device: %w", err)
	}
	p := &Plug{conn, make(chan struct{})}
	go func() {
		defer close(p.done)
		serve(conn, d)
	}()
	if err := plugInto(fds[1], speed); err != nil {
		p.Unplug()
		return nil, fmt.Errorf("attach virtual device: %w", err)
	}
	return p, nil
}

// plugInto gives a connection to a free port. Somebody else may be faster at the
// same port; then it takes the next one.
func plugInto(fd, speed int) error {
	for {
		port, err := freePort()
		if err != nil {
			return err
		}
		order := fmt.Sprintf("%d %d %d %d", port, fd, deviceID, speed)
		err = os.WriteFile(filepath.Join(controller, "attach"), []byte(order), 0)
		if !errors.Is(err, syscall.EBUSY) {
			return err
		}
	}
}

// freePort finds a port without a device: state 004 in lines like
// "hs  0000 004 000 00000000 000000 0-0". Of several controllers it takes the one
// with the fewest devices, because the kernel looks after the ports of one hub one
// after the other.
func freePort() (int, error) {
	files, err := filepath.Glob(filepath.Join(controller, "status*"))
	if err != nil {
		return 0, err
	}
	port, fewest := -1, 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return 0, err
		}
		free, used := -1, 0
		for line := range strings.Lines(string(text)) {
			w := strings.Fields(line)
			switch {
			case len(w) < 3 || w[0] != "hs":
			case w[2] != "004":
				used++
			case free < 0:
				if free, err = strconv.Atoi(w[1]); err != nil {
					return 0, fmt.Errorf("%s: %w", f, err)
				}
			}
		}
		if free >= 0 && (port < 0 || used < fewest) {
			port, fewest = free, used
		}
	}
	if port < 0 {
		return 0, errors.New("no free port")
	}
	return port, nil
}
