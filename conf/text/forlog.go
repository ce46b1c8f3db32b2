package text

// ForLog are the diagnostics as a log may have them, which more people read than the files: of a
// file that another one includes, and that has mistakes, they have none of its text, but where
// the first mistake is and how many there are. It may be no configuration at all.
func (d Diagnostics) ForLog(file string) Diagnostics {
	withheld := map[string]int{}
	for _, one := range d.list {
		if one.Severity == Error && one.File != file {
			withheld[one.File]++
		}
	}
	told := Diagnostics{files: d.files}
	for _, one := range d.list {
		switch n := withheld[one.File]; {
		case one.File != file && n < 0: // has been told
			continue
		case n > 0: // the first one, since errors come first
			withheld[one.File] = -1
			one = Diagnostic{Kind: one.Kind, File: one.File, Line: one.Line, Column: one.Column,
				Message: Plural(n, "mistake") + " in an included file", Hint: "weir check shows them", Notes: one.includes()}
			for i := range one.Notes {
				one.Notes[i] = "included from " + one.Notes[i]
			}
		}
		told.list = append(told.list, one)
	}
	return told
}
