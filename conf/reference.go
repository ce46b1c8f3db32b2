package conf

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"weir/conf/text"
)

// Reference is the page of the whole language, in Markdown, made of the tables
// of keywords.
func Reference() []byte {
	p := &page{seen: map[*blockSpec]bool{}}
	p.WriteString(referenceHead)
	l := keepalived()
	p.table("Outside any block", l.root)
	p.blocks("", l.root)
	p.remarks()
	return p.Bytes()
}

const referenceHead = `# The configuration language

<!-- Generated from the tables of keywords: run "go test ./conf -update" after changing them. -->

weir reads keepalived.conf. This page lists every keyword of it, and of the
` + "`weir { }`" + ` block, which holds what keepalived has no words for. A keepalived
that reads the file takes that block for unknown words and goes on.

**Effect** says what weir makes of a keyword: *yes*; *not yet*, where it is
accepted and weir goes on without; *none*, with the reason.

## The text

- ` + "`#` and `!`" + ` begin a comment, but inside double quotes and after a backslash.
- Words are parted by blanks. A string in ` + "`\"` or `'`" + ` is one word, or part of one.
  In double quotes ` + "`\\a \\b \\E \\f \\n \\r \\t \\v`, `\\nnn` (octal), `\\xXX` and `\\cC`" + `
  stand for characters, and any other ` + "`\\C`" + ` for C.
- A block opens with ` + "`{`" + ` behind its keyword or alone on the next line, and closes
  with ` + "`}`" + `. A backslash at a line's end continues the line.
- ` + "`include PATTERN`" + ` reads files in its place, sorted, relative to the folder of
  the including file, with ` + "`* ? [ ]` and `{a,b}`" + `. A pattern without a file is a
  warning; an error with ` + "`includem` (no file of this name), `includew` (nor one of\n  this pattern), `includeb` (none of one of the braces' names), `includer`" + `
  (unreadable) and ` + "`includea`" + ` (all of these).
- ` + "`@ID line`" + ` is read only where the config id is ID (the host's name up to its
  first dot, or that of ` + "`--id`" + `), ` + "`@^ID line`" + ` only where it is not.
  ` + "`weir check`" + ` reads the file for each ID that a line is for.
- ` + "`$NAME=value`" + ` defines a name, over several lines where they end in a backslash.
  ` + "`${NAME}`, or `$NAME`" + ` before a blank, a comma, ` + "`)`" + ` or the line's end, uses it;
  names in its value are replaced then. A value of several lines can only be used at
  the end of a line. Its lines are read one after the other where it is used: they
  may define names, use others, and repeat, and what they define holds from there on.
  ` + "`${_PWD} ${_INSTANCE} ${_RANDOM [MIN [MAX]]} ${_ENV NAME} ${_HASH} ${_BANG}`" + `
  are there already: the file's folder, the config id, a number, the
  environment, ` + "`#` and `!`" + `.
- ` + "`~SEQ(NAME, [START, [STEP,]] END) line`" + ` repeats a line with numbers (` + "`~SEQx`" + `: in
  hexadecimal), ` + "`~LST(NAME, VALUE, ...) line`" + ` with words, and
  ` + "`~LST({NAME, ...}, {VALUE, ...}, ...) line`" + ` with several at once. They may
  stand one behind another. A name keeps its last value.
- Times are seconds, with up to six decimal places where not said otherwise.

`

// page is the page as it is written.
type page struct {
	bytes.Buffer
	seen map[*blockSpec]bool
}

// blocks writes the blocks inside a block, each followed by those inside it.
func (p *page) blocks(path string, spec *blockSpec) {
	for _, e := range spec.entries {
		if e.inner == nil || p.seen[e.inner] {
			continue
		}
		p.seen[e.inner] = true
		title := strings.TrimPrefix(path+" › "+e.name, " › ")
		p.table(title, e.inner)
		p.blocks(title, e.inner)
	}
}

// table writes the keywords of one block.
func (p *page) table(title string, spec *blockSpec) {
	fmt.Fprintf(p, "## %s\n\n", title)
	if spec.line != nil {
		fmt.Fprintf(p, "Lines of: `%s`\n\n", spec.expects)
		return
	}
	p.WriteString("| keyword | values | meaning | default | effect |\n|---|---|---|---|---|\n")
	for _, e := range spec.entries {
		fmt.Fprintf(p, "| `%s` | %s | %s | %s | %s |\n", e.name, cell(e.values()), cell(e.help), cell(e.defaults()), cell(e.effects()))
	}
	p.WriteByte('\n')
}

func (p *page) remarks() {
	p.WriteString("## Warnings and notes\n\nEach can be silenced by its name: `silence NAME` in the weir block, or\n`weir check --silence NAME`. Those marked with * make `keepalived -t` fail.\n\n| name | |\n|---|---|\n")
	for _, r := range remarks {
		mark := ""
		if r.refused {
			mark = " *"
		}
		fmt.Fprintf(p, "| `%s`%s | %s |\n", r.code, mark, cell(r.explain))
	}
}

// cell is text in a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

func (e *entry) values() string {
	if e.inner != nil {
		return "{ block }"
	}
	if e.example[0] != "" {
		return e.expects + ", such as `" + e.example[0] + "`"
	}
	return e.expects
}

func (e *entry) defaults() string {
	switch v := e.initial.(type) {
	case nil:
		return e.otherwise
	case time.Duration:
		return text.Seconds(v)
	default:
		return text.Value(v)
	}
}

func (e *entry) effects() string {
	switch e.effect {
	case notYet:
		return "not yet"
	case meaningless:
		return "none: " + e.why
	}
	return "yes"
}
