package main

import (
	"slices"

	"gonut/internal/authority"
	"gonut/internal/clients"
	"gonut/internal/doctor"
	"gonut/internal/driver"
	"gonut/internal/drivers/apcupsdups"
	"gonut/internal/drivers/clone"
	"gonut/internal/drivers/cloneoutlet"
	"gonut/internal/drivers/dummyups"
	"gonut/internal/drivers/failover"
	"gonut/internal/drivers/mgeshut"
	"gonut/internal/drivers/nutupower"
	"gonut/internal/drivers/usbhidups"
	"gonut/internal/hidups"
	"gonut/internal/host"
	"gonut/internal/passwd"
	"gonut/internal/program"
	"gonut/internal/sandbox"
	"gonut/internal/subdriver"
	"gonut/internal/upsd"
	"gonut/internal/upsdrvctl"
	"gonut/internal/upsmon"
	"gonut/internal/upssched"
)

// A group is some programs under a title, in the order in which nut lists them.
type group struct {
	title    string
	programs []program.Program
	// inner ones are run as "nut NAME" only. Links of names such as passwd would hide
	// other programs of the host.
	inner bool
}

// groups is the table of all programs in the binary.
func groups() []group {
	return []group{
		{title: "Servers and monitors", programs: []program.Program{
			upsd.Program(),
			upsmon.Program(),
			upssched.Program(),
			upsdrvctl.Program(isDriver),
		}},
		{title: "Clients", programs: []program.Program{
			clients.UPSC(),
			clients.UPSCmd(),
			clients.UPSRW(),
			clients.UPSLog(),
			clients.SockDebug(),
		}},
		{title: "Drivers", programs: driverPrograms()},
		{title: "Tools, which have no links", inner: true, programs: []program.Program{
			host.Program(drivers()),
			doctor.Program(drivers()),
			sandbox.Program(),
			usbhidups.LearnProgram(),
			subdriver.Program(subdriver.Families{"hid": hidups.Family()}),
			authority.Program(),
			passwd.Program(),
			upsmon.WhyProgram(),
			clients.Record(),
		}},
	}
}

// drivers is the list of all drivers in the binary.
func drivers() []driver.Driver {
	return []driver.Driver{
		dummyups.Driver(),
		clone.Driver(),
		cloneoutlet.Driver(),
		failover.Driver(),
		apcupsdups.Driver(),
		nutupower.Driver(),
		usbhidups.Driver(),
		mgeshut.Driver(),
	}
}

func driverPrograms() []program.Program {
	var ps []program.Program
	for _, d := range drivers() {
		ps = append(ps, driver.Program(d))
	}
	return ps
}

// isDriver reports whether this binary is the driver of that name.
func isDriver(name string) bool {
	for _, p := range driverPrograms() {
		if p.Name == name || slices.Contains(p.Aliases, name) {
			return true
		}
	}
	return false
}
