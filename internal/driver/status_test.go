package driver_test

import (
	"strings"
	"testing"

	"gonut/internal/driver"
)

func TestStatus(t *testing.T) {
	tests := []struct {
		name string
		in   driver.StatusInput
		want string
		warn bool
	}{
		{"nothing", driver.StatusInput{}, "", false},
		{"plain", driver.StatusInput{Tokens: []string{"OL", "CHRG"}}, "OL CHRG", false},
		{"split at blanks", driver.StatusInput{Tokens: []string{" OL   CHRG\tRB "}}, "OL CHRG RB", false},
		{"each once", driver.StatusInput{Tokens: []string{"OL OL", "CHRG", "OL"}}, "OL CHRG", false},
		{"case counts", driver.StatusInput{Tokens: []string{"OL", "ol"}}, "OL ol", false},
		{"unknown tokens pass", driver.StatusInput{Tokens: []string{"OL", "ECO", "X-1"}}, "OL ECO X-1", false},
		{"alarm first", driver.StatusInput{Tokens: []string{"OL"}, Alarm: true}, "ALARM OL", false},
		{"alarm alone", driver.StatusInput{Alarm: true}, "ALARM", false},
		{"legacy alarm token", driver.StatusInput{Tokens: []string{"OL", "alarm", "RB"}}, "ALARM OL RB", false},
		{"alarm once", driver.StatusInput{Tokens: []string{"ALARM OL ALARM"}, Alarm: true}, "ALARM OL", false},

		{"ignorelb drops LB", driver.StatusInput{Tokens: []string{"OB LB lb"}, IgnoreLB: true}, "OB", false},
		{"ignorelb charge below", driver.StatusInput{Tokens: []string{"OB"}, IgnoreLB: true, Charge: "19", ChargeLow: "20"}, "OB LB", false},
		{"ignorelb charge equal", driver.StatusInput{Tokens: []string{"OB"}, IgnoreLB: true, Charge: "20", ChargeLow: "20"}, "OB", false},
		{"ignorelb whole numbers", driver.StatusInput{Tokens: []string{"OB"}, IgnoreLB: true, Charge: "20.1", ChargeLow: "20.9"}, "OB", false},
		{"ignorelb charge before runtime", driver.StatusInput{Tokens: []string{"OB"}, IgnoreLB: true,
			Charge: "50", ChargeLow: "20", Runtime: "1", RuntimeLow: "300"}, "OB", false},
		{"ignorelb runtime", driver.StatusInput{Tokens: []string{"OB"}, IgnoreLB: true, Charge: "50",
			Runtime: "299", RuntimeLow: "300"}, "OB LB", false},
		{"ignorelb without blank in front", driver.StatusInput{IgnoreLB: true, Charge: "1", ChargeLow: "20"}, "LB", false},
		{"thresholds without ignorelb", driver.StatusInput{Tokens: []string{"OB"}, Charge: "1", ChargeLow: "20"}, "OB", false},

		{"rises", driver.StatusInput{Tokens: []string{"OL"}, LastCharge: "80", Charge: "81"}, "OL CHRG", false},
		{"falls", driver.StatusInput{Tokens: []string{"OB"}, LastCharge: "80", Charge: "79.5"}, "OB DISCHRG", false},
		{"stands", driver.StatusInput{Tokens: []string{"OB"}, LastCharge: "80", Charge: "80"}, "OB", false},
		{"to full", driver.StatusInput{Tokens: []string{"OL"}, LastCharge: "99", Charge: "100"}, "OL", false},
		{"first value", driver.StatusInput{Tokens: []string{"OL"}, Charge: "80"}, "OL", false},
		{"no number", driver.StatusInput{Tokens: []string{"OL"}, LastCharge: "80", Charge: "n/a"}, "OL", false},
		{"agrees", driver.StatusInput{Tokens: []string{"OL CHRG"}, LastCharge: "80", Charge: "81"}, "OL CHRG", false},
		{"contradicts", driver.StatusInput{Tokens: []string{"OL CHRG"}, LastCharge: "80", Charge: "79"}, "OL CHRG DISCHRG", true},
		{"before alarm", driver.StatusInput{Tokens: []string{"OB"}, Alarm: true, LastCharge: "80", Charge: "79"}, "ALARM OB DISCHRG", false},
	}
	for _, tt := range tests {
		got, warning := driver.Status(tt.in)
		if got != tt.want || (warning != "") != tt.warn {
			t.Errorf("%s: Status(%+v) = %q, %q; want %q, warning %v", tt.name, tt.in, got, warning, tt.want, tt.warn)
		}
	}
}

func TestStatusFits(t *testing.T) {
	long := strings.Repeat("X", 200)
	got, _ := driver.Status(driver.StatusInput{Tokens: []string{"OL", long, strings.Repeat("Y", 60), "RB"}, Alarm: true})
	if want := "ALARM OL " + long + " RB"; got != want {
		t.Errorf("Status with a token too many = %q; want %q", got, want)
	}
}

func TestAlarms(t *testing.T) {
	tests := []struct {
		in        []string
		want      string
		truncated bool
	}{
		{nil, "", false},
		{[]string{"", " "}, "", false},
		{[]string{"Too hot!", " Replace battery! "}, "Too hot! Replace battery!", false},
		{[]string{strings.Repeat("a", 254), "bc"}, strings.Repeat("a", 254) + " ", true},
	}
	for _, tt := range tests {
		got, truncated := driver.Alarms(tt.in)
		if got != tt.want || truncated != tt.truncated {
			t.Errorf("Alarms(%q) = %q, %v; want %q, %v", tt.in, got, truncated, tt.want, tt.truncated)
		}
	}
}

func TestBuzzwords(t *testing.T) {
	if got, want := driver.Buzzwords([]string{"eco  vendor:mge", "eco"}), "eco vendor:mge"; got != want {
		t.Errorf("Buzzwords = %q; want %q", got, want)
	}
}
