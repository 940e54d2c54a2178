package hid

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Note is what users of the transport have to know about it on this system.
const Note = "On Windows HID devices are reached through hid.dll. This was never tried\n" +
	"with a UPS: please tell whether it works."

// A System is the Opener of the running system. On Windows it opens the collections
// of HID devices through hid.dll. It was run under Wine with the keyboard and the
// mouse that Wine emulates, and never with a UPS.
//
// Windows does not tell the numbers of bus, device and port; what is a string's index
// on the wire is one here too.
type System struct {
	dll *hidDLL
	log *slog.Logger
}

// NewSystem returns the Opener of the running system.
func NewSystem(log *slog.Logger) *System { return &System{newHIDDLL(), log} }

// A hidDLL has the functions of hid.dll and setupapi.dll that are used.
type hidDLL struct {
	attributes, manufacturer, product, serial, indexed *windows.LazyProc
	preparsed, freePreparsed                           *windows.LazyProc
	caps, valueCaps, buttonCaps, linkNodes             *windows.LazyProc
	initialize, setValue, setArray, setButtons         *windows.LazyProc

	devices, interfaces, detail, destroy *windows.LazyProc
}

func newHIDDLL() *hidDLL {
	p, setup := windows.NewLazySystemDLL("hid.dll").NewProc, windows.NewLazySystemDLL("setupapi.dll").NewProc
	return &hidDLL{
		attributes: p("HidD_GetAttributes"), manufacturer: p("HidD_GetManufacturerString"), product: p("HidD_GetProductString"),
		serial: p("HidD_GetSerialNumberString"), indexed: p("HidD_GetIndexedString"),
		preparsed: p("HidD_GetPreparsedData"), freePreparsed: p("HidD_FreePreparsedData"),
		caps: p("HidP_GetCaps"), valueCaps: p("HidP_GetValueCaps"), buttonCaps: p("HidP_GetButtonCaps"), linkNodes: p("HidP_GetLinkCollectionNodes"),
		initialize: p("HidP_InitializeReportForID"), setValue: p("HidP_SetUsageValue"), setButtons: p("HidP_SetUsages"), setArray: p("HidP_SetUsageValueArray"),
		devices: setup("SetupDiGetClassDevsW"), interfaces: setup("SetupDiEnumDeviceInterfaces"),
		detail: setup("SetupDiGetDeviceInterfaceDetailW"), destroy: setup("SetupDiDestroyDeviceInfoList"),
	}
}

// interfaceClass is GUID_DEVINTERFACE_HID.
func interfaceClass() *windows.GUID {
	return &windows.GUID{Data1: 0x4d1e55b2, Data2: 0xf16f, Data3: 0x11cf, Data4: [8]byte{0x88, 0xcb, 0x00, 0x11, 0x11, 0x00, 0x00, 0x30}}
}

// paths returns the paths of all collections that are plugged in.
func (d *hidDLL) paths() ([]string, error) {
	const presentInterfaces = 0x02 | 0x10
	set, _, err := d.devices.Call(uintptr(unsafe.Pointer(interfaceClass())), 0, 0, presentInterfaces)
	if windows.Handle(set) == windows.InvalidHandle {
		return nil, err
	}
	defer d.destroy.Call(set)
	var paths []string
	for i := uintptr(0); ; i++ {
		one := struct {
			size  uint32
			class windows.GUID
			_     uint32
			_     uintptr
		}{}
		one.size = uint32(unsafe.Sizeof(one))
		r, _, err := d.interfaces.Call(set, 0, uintptr(unsafe.Pointer(interfaceClass())), i, uintptr(unsafe.Pointer(&one)))
		switch {
		case errors.Is(err, windows.ERROR_NO_MORE_ITEMS) && r == 0:
			return paths, nil
		case r == 0:
			return nil, err
		}
		// The size of the fixed part, as C counts it: packed for 32 bits only.
		detail := struct {
			size uint32
			path [512]uint16
		}{size: 6}
		if unsafe.Sizeof(uintptr(0)) == 8 {
			detail.size = 8
		}
		r, _, _ = d.detail.Call(set, uintptr(unsafe.Pointer(&one)), uintptr(unsafe.Pointer(&detail)), unsafe.Sizeof(detail), 0, 0)
		if r != 0 {
			paths = append(paths, windows.UTF16ToString(detail.path[:]))
		}
	}
}

// A collection is one top level collection of a device, which is what can be opened.
type collection struct {
	path  string
	info  Info
	power bool // it is about power
}

// Changed implements Opener; the system is not asked to tell.
func (s *System) Changed(context.Context) <-chan struct{} { return nil }

// List implements Opener. A device with several collections is there once.
func (s *System) List(context.Context) ([]Info, error) {
	cs, err := s.collections()
	var infos []Info
	for _, c := range cs {
		if !slices.Contains(infos, c.info) {
			infos = append(infos, c.info)
		}
	}
	return infos, err
}

// collections returns what is plugged in, those about power first.
func (s *System) collections() ([]collection, error) {
	paths, err := s.dll.paths()
	if err != nil {
		return nil, fmt.Errorf("list HID devices: %w", err)
	}
	var cs []collection
	for _, path := range paths {
		if c, err := s.identify(path); err == nil {
			cs = append(cs, c)
		}
	}
	slices.SortStableFunc(cs, func(a, b collection) int {
		switch {
		case a.power == b.power:
			return 0
		case a.power:
			return -1
		}
		return 1
	})
	return cs, nil
}

// identify asks who a collection belongs to, without the right to read or write.
func (s *System) identify(path string) (collection, error) {
	h, err := openPath(path, 0)
	if err != nil {
		return collection{}, err
	}
	defer windows.CloseHandle(h)
	a := struct {
		size                     uint32
		vendor, product, release uint16
	}{}
	a.size = uint32(unsafe.Sizeof(a))
	if r, _, err := s.dll.attributes.Call(uintptr(h), uintptr(unsafe.Pointer(&a))); r == 0 {
		return collection{}, fmt.Errorf("identify %s: %w", path, err)
	}
	c := collection{path: path, info: Info{
		VendorID: a.vendor, ProductID: a.product, Release: a.release, Interface: interfaceOf(path),
		Manufacturer: text(s.dll.manufacturer, h), Product: text(s.dll.product, h), Serial: text(s.dll.serial, h),
	}}
	if p, err := s.parser(h); err == nil {
		const powerDevice, battery = 0x84, 0x85
		c.power = p.caps.usagePage == powerDevice || p.caps.usagePage == battery
		p.close()
	}
	return c, nil
}

// interfaceOf takes the number of the interface from a path like
// \\?\hid#vid_051d&pid_0002&mi_01#….
func interfaceOf(path string) int {
	_, after, _ := strings.Cut(strings.ToLower(path), "&mi_")
	n, err := strconv.ParseUint(after[:min(2, len(after))], 16, 8)
	if err != nil {
		return 0
	}
	return int(n)
}

// text reads one of the strings that a device is known by; one that it does not
// have is empty. A string descriptor has no room for more than 126 characters.
func text(proc *windows.LazyProc, h windows.Handle) string {
	var p [127]uint16
	if r, _, _ := proc.Call(uintptr(h), uintptr(unsafe.Pointer(&p)), unsafe.Sizeof(p)); r == 0 {
		return ""
	}
	return windows.UTF16ToString(p[:])
}

// indexed reads a string by its index.
func (s *System) indexed(h windows.Handle, index int) string {
	var p [127]uint16
	if r, _, _ := s.dll.indexed.Call(uintptr(h), uintptr(index), uintptr(unsafe.Pointer(&p)), unsafe.Sizeof(p)); r == 0 {
		return ""
	}
	return windows.UTF16ToString(p[:])
}

func (s *System) parser(h windows.Handle) (*parser, error) {
	p := &parser{dll: s.dll}
	if r, _, err := s.dll.preparsed.Call(uintptr(h), uintptr(unsafe.Pointer(&p.data))); r == 0 {
		return nil, err
	}
	if err := p.call(s.dll.caps, p.data, uintptr(unsafe.Pointer(&p.caps))); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *parser) close() { p.dll.freePreparsed.Call(p.data) }

func openPath(path string, access uint32) (windows.Handle, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return windows.InvalidHandle, err
	}
	return windows.CreateFile(name, access, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_OVERLAPPED, 0)
}

// Open implements Opener.
func (s *System) Open(ctx context.Context, m Matcher, t Tuning) (Conn, error) {
	return openLink(ctx, func(_ context.Context, m Matcher) (pipe, error) { return s.find(m, t) }, m, s.log)
}

func (s *System) find(m Matcher, t Tuning) (pipe, error) {
	cs, err := s.collections()
	if err != nil {
		return nil, err
	}
	w := search{matcher: m, tuning: t, err: fmt.Errorf("find HID device: %w", ErrGone)}
	for _, c := range cs {
		if !m.Match(c.info) {
			continue
		}
		if want := t.of(c.info).Interface; want >= 0 && want != c.info.Interface {
			continue
		}
		conn, err := s.openCollection(c)
		if err == nil {
			return conn, nil
		}
		if !w.goesOn(err) {
			break
		}
	}
	return nil, w.err
}

func (s *System) openCollection(c collection) (*winConn, error) {
	h, err := openPath(c.path, windows.GENERIC_READ|windows.GENERIC_WRITE)
	if err != nil {
		return nil, fmt.Errorf("open %v: %w", c.info, explain(err))
	}
	p, err := s.parser(h)
	if err != nil {
		windows.CloseHandle(h)
		return nil, fmt.Errorf("open %v: %w", c.info, explain(err))
	}
	defer p.close()
	fields, err := p.fields()
	if err != nil {
		windows.CloseHandle(h)
		return nil, fmt.Errorf("open %v: read what reports it has: %w", c.info, err)
	}
	return &winConn{system: s, handle: h, info: c.info, descriptor: EncodeDescriptor(fields), caps: p.caps}, nil
}
