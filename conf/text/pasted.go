package text

import (
	"fmt"
	"strings"
)

// Text that was not meant to be in the file: what version control leaves of a conflict,
// and the lines of a shell that a file was made with.

// ShellCause is the cause of errors about lines of a shell, and ShellLine what is said.
const ShellCause, ShellLine = "shell", "a line of a shell"

// pasted takes a line at the lexer's position that is no part of a configuration.
func (l *lexer) pasted() bool {
	c := l.peek(0)
	if c != '`' && c != '<' && c != '>' && c != '=' && c != '|' && l.heredoc == "" && !l.mayBeShell() {
		return false
	}
	line := l.src.Text[l.pos:]
	if end := strings.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	}
	return l.conflict(line) || l.fence(line) || l.shell(line)
}

// fence takes a line of Markdown around a text.
func (l *lexer) fence(line string) bool {
	if !strings.HasPrefix(line, "```") {
		return false
	}
	at := l.here()
	at.end += int32(len("```"))
	l.diags.ErrorOnce("markdown", at, "a line of Markdown", "take it out")
	l.skip(len(line))
	return true
}

// The lines around the two sides of a conflict, as git and diff3 write them.
const (
	ourSide   = "<<<<<<<"
	baseSide  = "|||||||"
	theirSide = "======="
	conflictE = ">>>>>>>"
)

// conflict takes what is not ours of a conflict.
func (l *lexer) conflict(line string) bool {
	at := l.here()
	at.end += int32(len(ourSide))
	switch mark, rest := line[:min(len(line), len(ourSide))], line[min(len(line), len(ourSide)):]; {
	case rest != "" && rest[0] != ' ' && rest[0] != '\r':
		return false
	case mark == ourSide:
		l.diags.ErrorAt(at, "a merge conflict that is not resolved", "take one of its sides, and the lines with <<<<<<<, ======= and >>>>>>>, out", "the first side is read")
		l.conflicts++
	case mark == conflictE && l.conflicts > 0:
		l.conflicts--
	case (mark == theirSide || mark == baseSide) && l.conflicts > 0:
		l.toConflictEnd()
		return true
	case mark == conflictE, mark == theirSide:
		l.diags.ErrorOnce("conflict", at, "a line of a merge conflict", "take it out")
	default:
		return false
	}
	l.skip(len(line))
	return true
}

// toConflictEnd goes on behind the other sides of a conflict.
func (l *lexer) toConflictEnd() {
	rest := l.src.Text[l.pos:]
	end := strings.Index(rest, "\n"+conflictE)
	if end < 0 {
		end = len(rest) - 1
	}
	l.skip(end + 1)
}

// mayBeShell tells whether the line at the position may be one of a shell: it has "<<".
func (l *lexer) mayBeShell() bool {
	line := l.src.Text[l.pos:min(len(l.src.Text), l.pos+maxShell)]
	if end := strings.IndexByte(line, '\n'); end >= 0 {
		line = line[:end]
	}
	return strings.Contains(line, "<<")
}

// maxShell is how far a line of a shell is looked for "<<", in bytes.
const maxShell = 256

// shell takes the line with which a shell writes a file, and the one that ends it.
func (l *lexer) shell(line string) bool {
	if l.heredoc != "" && strings.TrimSpace(line) == l.heredoc {
		l.heredoc = ""
		l.skip(len(line))
		return true
	}
	before, after, found := strings.Cut(line, "<<")
	word := strings.Trim(strings.TrimPrefix(after, "-"), " \t\r")
	word, _, _ = strings.Cut(word, " ")
	word = strings.Trim(word, `"'\`)
	if code := strings.TrimSpace(before); !found || code == "" || strings.ContainsAny(code, `#!"'`) || word == "" || leadingName(word) != word {
		return false
	}
	at := l.here().further(len(line)-len(strings.TrimLeft(line, " \t")), len(strings.TrimSpace(line)))
	l.diags.ErrorOnce(ShellCause, at, ShellLine, fmt.Sprintf("take it out, and the line with %s: the configuration is what stands between them", word))
	l.heredoc = word
	l.skip(len(line))
	return true
}
