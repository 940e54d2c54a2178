package main

import (
	"gonut/internal/clients"
	"gonut/internal/driver"
	"gonut/internal/drivers/dummyups"
	"gonut/internal/program"
	"gonut/internal/upsd"
)

// A group is some programs under a title, in the order in which nut lists them.
type group struct {
	title    string
	programs []program.Program
}

// groups is the table of all programs in the binary.
func groups() []group {
	return []group{
		{"Servers and monitors", []program.Program{
			upsd.Program(),
		}},
		{"Clients", []program.Program{
			clients.UPSC(),
			clients.UPSCmd(),
			clients.UPSRW(),
		}},
		{"Drivers", []program.Program{
			driver.Program(dummyups.Driver()),
		}},
		{"Tools", []program.Program{}},
	}
}
