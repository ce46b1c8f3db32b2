package conf

import "weir/conf/text"

// Linter explains mistakes that are none of the language: what is written is right,
// and hardly what was meant. See the package lint.
type Linter interface {
	// Service looks at a virtual server by itself. It may be called by several
	// goroutines at once.
	Service(say Say, v *VirtualServer)
	// Config looks at a configuration without mistakes.
	Config(say Say, c *Config, o Options)
}

// Say gives a warning of a kind, see IsRemark.
type Say func(at text.Place, code, message, hint string)

// lintAll has the linter, if there is one, look at what the parts have not yet.
func lintAll(l Linter, r *reader, raw *rawConfig, cfg *Config, o Options) {
	for _, s := range raw.services {
		if s.serves {
			lintService(l, r, &s.VirtualServer)
		}
	}
	if l != nil {
		l.Config(r.say, cfg, o)
	}
	r.sayMissing(cfg, o.Here)
}

func lintService(l Linter, r *reader, v *VirtualServer) {
	if l != nil {
		l.Service(r.say, v)
	}
}

func (r *reader) say(at text.Place, code, message, hint string) {
	r.diags.At(text.Diagnostic{Severity: text.Warning, Code: code, Message: message, Hint: hint, Machine: ofMachine(code)}, at)
}
