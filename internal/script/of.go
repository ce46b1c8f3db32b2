package script

import "weir/conf"

// RulesOf are the rules of a configuration's programs.
func RulesOf(g *conf.Global) *Rules {
	mask := g.Umask
	return &Rules{
		User: g.ScriptUser.User, Group: g.ScriptUser.Group, Supplementary: g.ScriptUser.Supplementary || g.SupplementaryGroups,
		Security: g.ScriptSecurity, Links: g.SymlinkPaths, Umask: &mask,
	}
}

// CommandOf is a program of a configuration.
func CommandOf(s conf.Script) Command {
	return Command{Words: Split(s.Command), User: s.User, Group: s.Group, Supplementary: s.Supplementary}
}
