package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// Table is how much of the data plane's tables of one kind is in use, and what they take of the
// kernel's memory.
type Table struct {
	// Name is connections, templates, servers or services; others are the rest.
	Name string `json:"name"`
	// InUse counts the entries in use, connections and templates at the last sweep. Room is
	// for how many there is room now, and Most in the end; both are 0 of tables whose entries
	// are not counted.
	InUse int `json:"in_use"`
	Room  int `json:"room"`
	Most  int `json:"most"`
	// Bytes is what they take now, and Full what they take when they are full.
	Bytes uint64 `json:"bytes"`
	Full  uint64 `json:"bytes_when_full"`
}

// Tables are those of all kinds, with the sums of their bytes.
type Tables struct {
	Tables []Table `json:"tables"`
	Bytes  uint64  `json:"bytes"`
	Full   uint64  `json:"bytes_when_full"`
}

// SumTables adds tables up.
func SumTables(tables []Table) Tables {
	all := Tables{Tables: tables}
	for _, t := range tables {
		all.Bytes += t.Bytes
		all.Full += t.Full
	}
	return all
}

// tables answers GET /v1/tables.
func (s *Server) tables(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, SumTables(s.Tables()))
}

// Tables asks how much of the data plane's tables is in use. The errors are those of the
// connection, or what weir says.
func (c *Client) Tables(ctx context.Context) (t Tables, err error) {
	body, err := c.get(ctx, "tables")
	if err != nil {
		return t, err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&t); err != nil {
		return t, fmt.Errorf("the tables of the weir that runs with %s: %w", c.runDir, err)
	}
	return t, nil
}
