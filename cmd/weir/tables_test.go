package main

import (
	"bytes"
	"testing"

	"weir/internal/api"
)

func TestShowTables(t *testing.T) {
	var out bytes.Buffer
	err := showTables(&out, api.SumTables([]api.Table{
		{Name: "connections", InUse: 12_345, Room: 65_536, Most: 1 << 20, Bytes: 22_950_000, Full: 366_100_000},
		{Name: "templates", InUse: 812, Room: 1 << 26, Most: 1 << 26, Bytes: 4 << 20, Full: 9 << 30},
		{Name: "servers", InUse: 6, Room: 65_536, Most: 65_536, Bytes: 13 << 20, Full: 13 << 20},
		{Name: "services", InUse: 2, Room: 4096, Most: 4096, Bytes: 1 << 20, Full: 1 << 20},
		{Name: "others", Bytes: 7_500_000, Full: 7_500_000},
	}))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "tables.golden", out.String())
}

func TestShowTablesWhereNoWeirRuns(t *testing.T) {
	if out, err := show(t, "tables", "--run-dir", t.TempDir()); err == nil {
		t.Errorf("a weir answers that does not run: %s", out)
	}
}
