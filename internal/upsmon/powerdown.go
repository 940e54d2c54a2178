package upsmon

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"gonut/internal/conf"
	"gonut/internal/program"
)

// flagText is what a POWERDOWNFLAG file begins with. Anything else in the file
// means that it is not ours.
const flagText = "upsmon-shutdown-file"

// errForeignFlag means that somebody else's file is where the flag should be.
var errForeignFlag = errors.New("the file has other content and is left alone; remove it or choose another POWERDOWNFLAG")

// checkFlag reports whether the POWERDOWNFLAG is there and valid.
func checkFlag(path string) (bool, error) {
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil && !fi.Mode().IsRegular() { // opening a pipe would wait for a writer
		err = fmt.Errorf("%s is not a file", path)
	}
	if err != nil {
		return false, fmt.Errorf("check power-down flag: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return false, fmt.Errorf("check power-down flag: %w", err)
	}
	defer f.Close()
	line, _ := bufio.NewReaderSize(f, 64).ReadSlice('\n')
	if !strings.HasPrefix(string(line), flagText) {
		return false, fmt.Errorf("check power-down flag %s: %w", path, errForeignFlag)
	}
	return true, nil
}

// clearFlag removes the flag of an earlier shutdown.
func clearFlag(path string) error {
	set, err := checkFlag(path)
	if err != nil || !set {
		return err
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("clear power-down flag: %w", err)
	}
	return nil
}

// check does -K.
func (p *process) check(c conf.UPSMon) error {
	log := p.log.Logger()
	set, err := false, error(nil)
	if c.PowerDownFlag != "" {
		set, err = checkFlag(c.PowerDownFlag)
	}
	if err != nil {
		log.Error(err.Error())
	}
	if !set {
		log.Error("Power down flag is not set")
		return program.Exit(1)
	}
	log.Info("Power down flag is set")
	return nil
}

// clearFlag removes the flag of the last shutdown and returns the path that may be
// used for the next one.
func (p *process) clearFlag(c conf.UPSMon) string {
	if c.PowerDownFlag == "" {
		return ""
	}
	err := clearFlag(c.PowerDownFlag)
	if err == nil {
		return c.PowerDownFlag
	}
	p.log.Logger().Error("the UPS will not be switched off after a shutdown: POWERDOWNFLAG is disabled", "err", err)
	return ""
}
