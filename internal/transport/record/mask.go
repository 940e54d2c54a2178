package record

import (
	"bytes"
	"encoding/binary"
	"regexp"
	"strings"
	"unicode/utf16"
)

// A secret is something that must not be written down.
type secret struct {
	text    []byte
	wide    []byte // the same in UTF-16, as string descriptors have it
	replace string // empty: as many zeros
}

// least is the length below which a text is not replaced wherever it occurs: "1" is
// the serial number of some devices, and somebody's password.
const least = 5

// Hidden stands in a recording where a secret was.
const Hidden = "***"

// Secret keeps texts, such as passwords, out of the recording; each is replaced by
// Hidden. While playing, what is sent is treated likewise, so that it is recognised.
func (t *Tape) Secret(texts ...string) { t.hide(Hidden, texts) }

// Serial keeps serial numbers out of the recording, unless the user wants them;
// each is replaced by as many zeros.
func (t *Tape) Serial(texts ...string) {
	if t != nil && !t.private {
		t.hide("", texts)
	}
}

func (t *Tape) hide(replace string, texts []string) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, text := range texts {
		text = strings.TrimSpace(text)
		if len(text) < least || strings.Trim(text, "0") == "" {
			continue
		}
		t.hideLocked(secret{[]byte(text), wide(text), replace})
	}
}

func (t *Tape) hideLocked(s secret) {
	const enough = 100
	for _, o := range t.secrets {
		if bytes.Equal(o.text, s.text) {
			return
		}
	}
	if len(t.secrets) < enough {
		t.secrets = append(t.secrets, s)
	}
}

func wide(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// patterns are where texts of protocols say a serial number or a password. Programs
// that record nothing do not compile them.
type patterns struct {
	serials  []*regexp.Regexp
	password *regexp.Regexp
}

func newPatterns() patterns {
	return patterns{
		serials: []*regexp.Regexp{
			regexp.MustCompile(`(?i)serial[\w.]*"?[:\s]+<?"([^"]+)"`),
			regexp.MustCompile(`(?i)serial\w*\s*:\s*([^"\s<][^\r\n]*)`),
		},
		password: regexp.MustCompile(`(?im)^(PASSWORD[ \t]+)[^\r\n]+`),
	}
}

// mask returns what may be written of b. The caller holds mu.
func (t *Tape) mask(b []byte) []byte {
	if len(b) == 0 {
		return b
	}
	if !t.private {
		b = t.maskSerials(b)
	}
	b = t.password.ReplaceAll(b, []byte("${1}"+Hidden))
	for _, s := range t.secrets {
		replace := []byte(s.replace)
		if s.replace == "" {
			replace = zeros(len(s.text))
		}
		b = bytes.ReplaceAll(b, s.text, replace)
		b = bytes.ReplaceAll(b, s.wide, bytes.Repeat([]byte("0\x00"), len(s.wide)/2))
	}
	return b
}

// maskSerials replaces what stands where a serial number does, and remembers it.
func (t *Tape) maskSerials(b []byte) []byte {
	for _, re := range t.serials {
		for _, m := range re.FindAllSubmatchIndex(b, -1) {
			text := bytes.TrimSpace(b[m[2]:m[3]])
			if len(bytes.Trim(text, "0")) == 0 || string(text) == "N/A" {
				continue
			}
			if len(text) >= least {
				t.hideLocked(secret{bytes.Clone(text), wide(string(text)), ""})
			}
			b = bytes.Clone(b)
			copy(b[m[2]:], zeros(len(text)))
		}
	}
	return b
}

func zeros(n int) []byte { return bytes.Repeat([]byte("0"), n) }
