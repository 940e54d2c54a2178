package hid

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A Recording is all that a device told: enough to play it back. As a file it is a
// recording of package record in which nothing has a time: one fact a line.
//
//	nut-recording 1
//	driver "usbhid-ups"
//	device 051d:0002 0106          ids and release
//	manufacturer "American Power Conversion"
//	product "BK650M2-CH"
//	serial "000000000000"
//	interface 0
//	string 4 "PbAc"                a string descriptor
//	descriptor 05 84 09 04 …       bytes of the report descriptor, on any number of lines
//	feature 01 02                  answer to a request for a feature report
//	input 16 0c 00                 a report that came over the interrupt pipe
//
// Empty lines and lines that begin with '#' say nothing.
type Recording struct {
	Info       Info
	Strings    map[int]string
	Descriptor []byte
	Features   map[byte][]byte // by id; byte 0 is the id
	Inputs     [][]byte        // in the order in which they came
}

// NewRecording returns a Recording of a device that has told nothing yet.
func NewRecording() *Recording {
	return &Recording{Strings: map[int]string{}, Features: map[byte][]byte{}}
}

// ReadRecording reads a recording; name is what errors call it.
func ReadRecording(name string, r io.Reader) (*Recording, error) {
	rec := NewRecording()
	s := bufio.NewScanner(r)
	for line := 1; s.Scan(); line++ {
		text := strings.TrimSpace(s.Text())
		if text == "" || strings.HasPrefix(text, "#") || headline(text) {
			continue
		}
		if err := rec.Fact(text); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, line, err)
		}
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return rec, nil
}

// Magic is the first line of every recording.
const Magic = "nut-recording 1"

// headline reports lines that say who recorded and not what.
func headline(text string) bool {
	word, _, _ := strings.Cut(text, " ")
	return text == Magic || word == "driver" || word == "port" || word == "option"
}

// Fact adds what a line of a recording says.
func (rec *Recording) Fact(text string) error {
	key, rest, _ := strings.Cut(text, " ")
	rest = strings.TrimSpace(rest)
	switch key {
	case "device":
		_, err := fmt.Sscanf(rest, "%04x:%04x %04x", &rec.Info.VendorID, &rec.Info.ProductID, &rec.Info.Release)
		if err != nil {
			return fmt.Errorf("device: want vendor:product release in hexadecimal, not %q", rest)
		}
	case "manufacturer":
		return unquote(rest, &rec.Info.Manufacturer)
	case "product":
		return unquote(rest, &rec.Info.Product)
	case "serial":
		return unquote(rest, &rec.Info.Serial)
	case "interface":
		n, err := strconv.Atoi(rest)
		if err != nil {
			return fmt.Errorf("interface: %q is not a number", rest)
		}
		rec.Info.Interface = n
	case "string":
		number, text, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(number)
		if err != nil {
			return fmt.Errorf("string: %q is not an index", number)
		}
		var s string
		if err := unquote(text, &s); err != nil {
			return err
		}
		rec.Strings[n] = s
	case "descriptor", "feature", "input":
		return rec.bytes(key, rest)
	default:
		return fmt.Errorf("%q says nothing about a HID device", key)
	}
	return nil
}

func (rec *Recording) bytes(key, text string) error {
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	if len(b) == 0 {
		return fmt.Errorf("%s: no bytes", key)
	}
	switch key {
	case "descriptor":
		rec.Descriptor = append(rec.Descriptor, b...)
	case "feature":
		rec.Features[b[0]] = b
	default:
		rec.Inputs = append(rec.Inputs, b)
	}
	return nil
}

func unquote(text string, to *string) error {
	s, err := strconv.Unquote(strings.TrimSpace(text))
	if err != nil {
		return fmt.Errorf("%s is not a text in quotes", text)
	}
	*to = s
	return nil
}

// Write writes the recording as a file.
func (rec *Recording) Write(w io.Writer) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "%s\ndriver \"usbhid-ups\"\n", Magic)
	for _, text := range rec.Facts() {
		fmt.Fprintln(b, text)
	}
	return b.Flush()
}

// Facts are the lines of the recording as a file, those apart that every recording
// has.
func (rec *Recording) Facts() []string {
	i := rec.Info
	b := new(strings.Builder)
	fmt.Fprintf(b, "device %04x:%04x %04x\n", i.VendorID, i.ProductID, i.Release)
	fmt.Fprintf(b, "manufacturer %q\nproduct %q\nserial %q\ninterface %d\n", i.Manufacturer, i.Product, i.Serial, i.Interface)
	for _, n := range slices.Sorted(maps.Keys(rec.Strings)) {
		fmt.Fprintf(b, "string %d %q\n", n, rec.Strings[n])
	}
	for chunk := range slices.Chunk(rec.Descriptor, 16) {
		fmt.Fprintf(b, "descriptor % x\n", chunk)
	}
	for _, id := range slices.Sorted(maps.Keys(rec.Features)) {
		fmt.Fprintf(b, "feature % x\n", rec.Features[id])
	}
	for _, in := range rec.Inputs {
		fmt.Fprintf(b, "input % x\n", in)
	}
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

// Redact replaces a serial number by zeros of the same length wherever it occurs, as a
// text of the device or in its reports. One of less than four bytes could be a part of
// anything; it is replaced only where it is all of a text.
func (rec *Recording) Redact(serial string) {
	serial = strings.TrimSpace(serial)
	if serial == "" {
		return
	}
	zeros := strings.Repeat("0", len(serial))
	replace := func(text string) string {
		if strings.TrimSpace(text) == serial || len(serial) >= 4 {
			return strings.ReplaceAll(text, serial, zeros)
		}
		return text
	}
	for _, text := range []*string{&rec.Info.Serial, &rec.Info.Product, &rec.Info.Manufacturer} {
		*text = replace(*text)
	}
	for n, s := range rec.Strings {
		rec.Strings[n] = replace(s)
	}
	if len(serial) < 4 {
		return
	}
	for id, data := range rec.Features {
		rec.Features[id] = bytes.ReplaceAll(data, []byte(serial), []byte(zeros))
	}
	for i, data := range rec.Inputs {
		rec.Inputs[i] = bytes.ReplaceAll(data, []byte(serial), []byte(zeros))
	}
}
