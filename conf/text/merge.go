package text

import "slices"

// Reading of one text for several config ids gives each diagnostic that is about no line
// for an id as often as there are ids.

// diagnosticKey tells diagnostics apart, but for what they repeat of other places.
type diagnosticKey struct {
	severity           Severity
	file, code, saying string
	line, column       int
}

func (d *Diagnostic) key() diagnosticKey {
	return diagnosticKey{d.Severity, d.File, d.Code, d.Message + "\x00" + d.Hint, d.Line, d.Column}
}

// Merge are the diagnostics of one text that was read once for each of some config ids,
// which are as many: each is there once, and has the ids that give rise to it unless all do.
func Merge(ids []string, read []Diagnostics) Diagnostics {
	if len(read) == 1 {
		return read[0]
	}
	all, at := Diagnostics{}, map[diagnosticKey]int{}
	for i, diags := range read {
		all.files = max(all.files, diags.files)
		for _, d := range diags.list {
			known, ok := at[d.key()]
			if !ok {
				known = len(all.list)
				at[d.key()] = known
				all.list = append(all.list, d)
			}
			if its := &all.list[known].IDs; !slices.Contains(*its, ids[i]) {
				*its = append(*its, ids[i])
			}
		}
	}
	for i := range all.list {
		if d := &all.list[i]; len(d.IDs) == len(ids) {
			d.IDs = nil
		}
	}
	sortByPlace(all.list)
	sortBySeverity(all.list)
	return all
}
