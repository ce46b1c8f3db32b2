package text

import (
	"cmp"
	"encoding/json"
)

// diagnosticJSON is a Diagnostic as programs read it; docs/diagnostics.schema.json says
// what its members mean.
type diagnosticJSON struct {
	File      string   `json:"file"`
	Line      int      `json:"line"`
	Column    int      `json:"column"`
	EndColumn int      `json:"end_column"`
	Severity  string   `json:"severity"`
	Code      string   `json:"code"`
	Message   string   `json:"message"`
	Help      string   `json:"help"`
	Notes     []string `json:"notes"`
	Places    int      `json:"places"`
	Includes  []string `json:"included_from"`
	IDs       []string `json:"config_ids"`
	Machine   bool     `json:"machine"`
}

// MarshalJSON is the diagnostic with every member, also the empty ones.
func (d Diagnostic) MarshalJSON() ([]byte, error) {
	j := diagnosticJSON{
		File: printable(d.File), Line: d.Line, Column: d.Column, EndColumn: d.Column,
		Severity: d.Severity.String(), Code: cmp.Or(d.Code, d.Kind, KindSyntax), Message: d.Message, Help: d.Hint,
		Notes: append([]string{}, d.Notes...), Places: max(1, d.Places),
		Includes: append([]string{}, d.includes()...), IDs: append([]string{}, d.IDs...), Machine: d.Machine,
	}
	if d.at.Src != nil {
		j.EndColumn += runes(d.at.Text())
	}
	return json.Marshal(j)
}
