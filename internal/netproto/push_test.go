package netproto

import (
	"strings"
	"testing"

	"gonut/internal/words"
)

func TestPushLines(t *testing.T) {
	for _, c := range []struct {
		line PushLine
		text string
	}{
		{PushLine{Kind: PushBegin, UPS: "ups"}, "PUSH BEGIN ups\n"},
		{PushLine{Kind: PushVar, UPS: "my ups", Name: "ups.status", Value: `O"L`}, "PUSH VAR \"my ups\" ups.status \"O\\\"L\"\n"},
		{PushLine{Kind: PushVar, UPS: "ups", Name: "ups.id"}, "PUSH VAR ups ups.id \"\"\n"},
		{PushLine{Kind: PushDel, UPS: "ups", Name: "ups.load"}, "PUSH DEL ups ups.load\n"},
		{PushLine{Kind: PushState, UPS: "ups", Value: "DATA-STALE"}, "PUSH STATE ups DATA-STALE\n"},
		{PushLine{Kind: PushEnd, UPS: "ups"}, "PUSH END ups\n"},
	} {
		if got := string(c.line.Append(nil)); got != c.text {
			t.Errorf("%+v: line %q; want %q", c.line, got, c.text)
		}
		ws, err := words.Split(c.text)
		if err != nil {
			t.Fatal(err)
		}
		if got, pushed, ok := ParsePush(ws); got != c.line || !pushed || !ok {
			t.Errorf("ParsePush(%q) = %+v, %v, %v; want %+v", ws, got, pushed, ok, c.line)
		}
	}
}

func TestParsePushIgnores(t *testing.T) {
	for line, wantPushed := range map[string]bool{
		"": false, "OK": false, "VAR ups x y": false, "push VAR ups x y": false,
		"PUSH": true, "PUSH VAR ups": true, "PUSH VAR ups x": true, "PUSH DEL ups": true, "PUSH STATE ups": true, "PUSH NEWER ups x": true,
	} {
		if _, pushed, ok := ParsePush(strings.Fields(line)); pushed != wantPushed || ok {
			t.Errorf("ParsePush(%q): pushed %v, ok %v; want %v, false", line, pushed, ok, wantPushed)
		}
	}
}
