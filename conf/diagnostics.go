package conf

import (
	"io"

	"weir/conf/text"
)

// Diagnostics is all that one or more files gave rise to.
type Diagnostics = text.Diagnostics

// Diagnostic is one mistake or remark, with its place.
type Diagnostic = text.Diagnostic

// Severity tells a mistake that stops weir from a remark.
type Severity = text.Severity

const (
	// Error means that nothing of the file is used.
	Error = text.Error
	// Warning means that the file is used, and how it was understood.
	Warning = text.Warning
	// Note means that the file is used, and what of it has no effect.
	Note = text.Note
)

// MaxFile is the longest text of one file, in bytes.
const MaxFile = text.MaxFile

// ErrTooLong says that a text is longer than MaxFile.
var ErrTooLong = text.ErrTooLong

// ReadAll is io.ReadAll up to MaxFile; what is longer is ErrTooLong.
func ReadAll(r io.Reader) ([]byte, error) { return text.ReadAll(r) }

// Format gives a configuration its canonical layout, see text.Format.
func Format(name string, content []byte) ([]byte, Diagnostics) { return text.Format(name, content) }
