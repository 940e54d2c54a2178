package hidups

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"gonut/internal/subdriver"
	"gonut/test/devices/bench"
)

func TestScratchDescs(t *testing.T) {
	lib := subdriver.Load("hid", subdriver.Embedded())
	files, _ := filepath.Glob("../../test/devices/hid/*.model")
	o, _ := os.Create("/tmp/w2-usb/desc/models.txt")
	for _, f := range files {
		fmt.Fprintln(o, hex.EncodeToString(bench.ReadModel(t, f, lib).Recording.Descriptor))
	}
	recs, _ := filepath.Glob("../../test/devices/*/*.rec")
	for _, f := range recs {
		fmt.Fprintln(o, hex.EncodeToString(bench.ReadRecording(t, f).Descriptor))
	}
	o.Close()
}
