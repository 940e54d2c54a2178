package subdriver

import "testing"

func TestEmbeddedTablesAreRight(t *testing.T) {
	lib := Load("hid", Embedded())
	for _, p := range lib.Problems {
		t.Error(p)
	}
	if len(lib.Tables) < 17 {
		t.Errorf("%d tables are built in; want at least 17", len(lib.Tables))
	}
}
