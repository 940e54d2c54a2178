// Command bench measures our upsd and C's side by side and prints what each did, the
// ratio, and whether it is what docs/performance.md wants. It needs Linux, a built
// binary of ours (make bench builds it) and, for the comparison, Debian's
// nut-server. It connects to nothing but 127.0.0.1.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"time"

	"gonut/bench/rig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// A bench is one run of the program.
type bench struct {
	ctx    context.Context
	sides  []side
	rounds int
	time   time.Duration // of a measurement
	quiet  float64       // the share of the machine that others may have meanwhile
	table  *table
}

// A side is one of the servers that are compared.
type side int

const (
	theirs side = iota
	ours
	sides
)

func (s side) String() string { return [...]string{"C", "ours"}[s] }

// A chapter is measurements that share their servers.
type chapter struct {
	name  string
	about string
	run   func(*bench, [sides]rig.Program) error
}

func chapters() []chapter {
	return []chapter{
		{"getvar", "GET VAR on connections that stay open", (*bench).getVar},
		{"listvar", "LIST VAR of a UPS with 63 variables", (*bench).listVar},
		{"many", "a UPS among 100", (*bench).among},
		{"connect", "connect, LIST UPS, LOGOUT", (*bench).connect},
		{"tls", "connect, STARTTLS, LIST UPS, LOGOUT", (*bench).encrypted},
		{"hostile", "others' p99 beside a client that means ill", (*bench).hostile},
		{"hold", "10,000 connections with 128 busy ones among them", (*bench).hold},
		{"push", "1,000 UPSes: from a change to the client that watches", (*bench).push},
		{"idle", "memory of a upsd with one UPS and nothing to do", (*bench).idle},
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	nut := flags.String("nut", "bin/nut", "`path` of our binary")
	c := flags.String("c", rig.FindC(), "`path` of C's upsd; empty for none")
	only := flags.String("run", "", "measure only the chapters whose names match this `expression`")
	rounds := flags.Int("rounds", 5, "how `often` each measurement is repeated")
	length := flags.Duration("time", time.Second, "how `long` a measurement takes")
	quiet := flags.Float64("quiet", 10, "measure again, within bounds, if others have had more than this many `percent` of the machine")
	list := flags.Bool("list", false, "list the chapters and end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	b := &bench{ctx: ctx, rounds: max(1, *rounds), time: *length, quiet: *quiet, table: newTable(os.Stdout)}
	var programs [sides]rig.Program
	if *c != "" {
		programs[theirs] = rig.Program{Path: *c}
		b.sides = append(b.sides, theirs)
	} else {
		fmt.Println("C's upsd is not installed (apt-get install nut-server): only ours is measured.")
	}
	programs[ours] = rig.Program{Path: *nut}
	b.sides = append(b.sides, ours)
	for _, ch := range chapters() {
		if !wanted.MatchString(ch.name) {
			continue
		}
		if *list {
			fmt.Printf("%-8s  %s\n", ch.name, ch.about)
			continue
		}
		b.table.begin(ch)
		if err := ch.run(b, programs); err != nil {
			return fmt.Errorf("%s: %w", ch.name, err)
		}
	}
	if !*list {
		b.table.sum()
	}
	return nil
}
