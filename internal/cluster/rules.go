package cluster

import (
	"log/slog"
	"strings"
	"time"

	"weir/lvs"
)

// RuleSet says that somebody gave weir a live rule about clients: deny or allow. It ends
// after d; 0: when it is removed.
func RuleSet(action string, rule lvs.AccessRule, d time.Duration) Event {
	e := ofRule(RuleAdded, "rule about clients added", action, rule)
	if d > 0 {
		e.Details = append(e.Details, Detail{"for", d})
	}
	return e
}

// RuleTakenBack says that somebody removed it.
func RuleTakenBack(action string, rule lvs.AccessRule) Event {
	return ofRule(RuleRemoved, "rule about clients removed", action, rule)
}

func ofRule(kind Kind, message, action string, rule lvs.AccessRule) Event {
	e := Event{Kind: kind, Message: message, Details: []Detail{{"rule", action}, {"clients", rule.Network}}}
	if rule.Protocol != 0 {
		e.Details = append(e.Details, Detail{"protocol", rule.Protocol})
	}
	if rule.Port != 0 {
		e.Details = append(e.Details, Detail{"port", rule.Port})
	}
	return e
}

// FirewallPassedOver says that the machine has rules of nftables that packets to services
// do not pass, and where they are: "inet filter input".
func FirewallPassedOver(chains []string) Event {
	const most = 5
	told := chains
	if len(told) > most {
		told = told[:most]
	}
	return Event{
		Kind: FirewallUnasked, Level: slog.LevelWarn,
		Message: "the firewall is not asked about packets to services: the data plane comes before it",
		Details: []Detail{{"chains", strings.Join(told, ", ")}, {"all", len(chains)}, {"remedy", "weir { deny NETWORK } and weir deny NETWORK"}},
	}
}
