package main

import (
	"fmt"
	"strings"
)

// story is a virtual server, and what becomes of its real servers.
type story struct {
	name string
	// words are those of the virtual server, a line each, and all those of each real server.
	words, all string
	// servers are the last parts of the real servers' addresses, each with its weight.
	servers string
	steps   []step
}

// step is what changes, and the table that follows from it: "11=1 12=0".
type step struct{ change, want string }

// conf is the story's configuration, in which DIR is the director's folder.
func (s story) conf() string {
	note := func(word string) string { return fmt.Sprintf("\"/bin/bash -c 'echo %s >>DIR/told'\"", word) }
	var b strings.Builder
	fmt.Fprintf(&b, "global_defs {\n    script_user root\n}\nvirtual_server 10.0.0.1 80 {\n    delay_loop 1\n    warmup 0\n    lb_algo rr\n    lb_kind NAT\n    protocol TCP\n"+
		"    quorum_up %s\n    quorum_down %s\n", note("q+"), note("q-"))
	for _, w := range strings.Split(s.words, ";") {
		fmt.Fprintf(&b, "    %s\n", strings.TrimSpace(w))
	}
	for _, one := range strings.Fields(s.servers) {
		name, weight, _ := strings.Cut(one, "=")
		fmt.Fprintf(&b, "    real_server 10.0.0.%[1]s 80 {\n        weight %[2]s\n        notify_up %[3]s\n        notify_down %[4]s\n        %[5]s\n"+
			"        MISC_CHECK {\n            misc_path \"/usr/bin/test -e DIR/up/%[1]s\"\n            misc_timeout 20\n        }\n    }\n", name, weight, note(name+"+"), note(name+"-"), s.all)
	}
	return b.String() + "}\n"
}

const (
	three = "11=1 12=1 13=1"
	sorry = "sorry_server 10.0.0.9 80"
)

// stories are those that are told; the first five are told in the short form.
var stories = []story{
	{"quorum", "quorum 2", "", three, []step{{"+11 +12 +13", three}, {"-11", "12=1 13=1"}, {"-12", "13=1"}, {"+11", "11=1 13=1"}, {"-11 -13", ""}, {"+11 +12 +13", three}}},
	{"sorry server", sorry, "", "11=1 12=1", []step{{"+11 +12", "11=1 12=1"}, {"-11", "12=1"}, {"-12", "9=1"}, {"+12", "12=1"}, {"+11", "11=1 12=1"}}},
	{"hysteresis and sorry server", "quorum 3; hysteresis 1; " + sorry, "", "11=1 12=1 13=1 14=1", []step{
		{"+11 +12 +13 +14", "11=1 12=1 13=1 14=1"}, {"-11", "12=1 13=1 14=1"}, {"-12", "13=1 14=1"}, {"-13", "9=1"}, {"+13", "9=1"}, {"+12", "9=1"}, {"+11", "11=1 12=1 13=1 14=1"}}},
	{"inhibit", "quorum 2; omega", "inhibit_on_failure", three, []step{{"+11 +12 +13", three}, {"-11", "11=0 12=1 13=1"}, {"-12", "11=0 12=0 13=1"}, {"+11 +12", three}}},
	{"alpha and omega", "alpha; omega; " + sorry, "", "11=1 12=1", []step{{"", "9=1"}, {"+11", "11=1"}, {"+12", "11=1 12=1"}, {"-11", "12=1"}}},

	{"one server", "", "", "11=1", []step{{"+11", "11=1"}, {"-11", ""}, {"+11", "11=1"}}},
	{"weights make the quorum", "quorum 5; " + sorry, "", "11=4 12=2 13=1", []step{{"+11 +12 +13", "11=4 12=2 13=1"}, {"-13", "11=4 12=2"}, {"-12", "9=1"}, {"+13", "11=4 13=1"}, {"-11", "9=1"}, {"+11 +12", "11=4 12=2 13=1"}}},
	{"hysteresis", "quorum 2; hysteresis 1", "", three, []step{{"+11 +12 +13", three}, {"-11", "12=1 13=1"}, {"-12", "13=1"}, {"-13", ""}, {"+11", "11=1"}, {"+12", "11=1 12=1"}, {"+13", three}}},
	{"sorry server inhibited", sorry + "; sorry_server_inhibit", "", "11=1 12=1", []step{{"+11 +12", "11=1 12=1 9=0"}, {"-11 -12", "9=1"}, {"+11", "11=1 9=0"}, {"+12", "11=1 12=1 9=0"}}},
	{"alpha", "alpha", "", "11=1 12=1", []step{{"", ""}, {"+11", "11=1"}, {"-11", ""}, {"+11 +12", "11=1 12=1"}}},
	{"alpha with a quorum", "alpha; quorum 2", "", three, []step{{"", ""}, {"+11", "11=1"}, {"+12", "11=1 12=1"}, {"+13", three}, {"-11 -12", "13=1"}}},
	{"omega", "omega", "", three, []step{{"+11 +12 +13", three}, {"-12", "11=1 13=1"}}},
	{"omega with all down", "omega", "", "11=1 12=1", []step{{"+11 +12", "11=1 12=1"}, {"-11 -12", ""}}},
	{"down from the start", "", "", "11=1 12=1", []step{{"+11", "11=1"}, {"+12", "11=1 12=1"}}},
	{"down from the start, with a sorry server", sorry, "", "11=1", []step{{"", "9=1"}, {"+11", "11=1"}, {"-11", "9=1"}}},
	{"inhibit for some weights", "quorum 3", "inhibit_on_failure", "11=3 12=2", []step{{"+11 +12", "11=3 12=2"}, {"-11", "11=0 12=2"}, {"+11", "11=3 12=2"}, {"-12", "11=3 12=0"}}},
	{"quorum of all", "quorum 3; " + sorry, "", three, []step{{"+11 +12 +13", three}, {"-13", "9=1"}, {"-12", "9=1"}, {"+12", "9=1"}, {"+13", three}}},
	{"inhibited under alpha", "alpha", "inhibit_on_failure", "11=1 12=1", []step{{"", "11=0 12=0"}, {"+11", "11=1 12=0"}, {"+12", "11=1 12=1"}, {"-11", "11=0 12=1"}}},
	{"quorum more than all", "quorum 9; " + sorry, "", "11=1 12=2", []step{{"+11 +12", "11=1 12=2"}, {"-11", "9=1"}, {"+11", "11=1 12=2"}}},
	{"flaps", "quorum 2; " + sorry, "", "11=1 12=1", []step{{"+11 +12", "11=1 12=1"}, {"-11", "9=1"}, {"+11", "11=1 12=1"}, {"-12", "9=1"}, {"+12", "11=1 12=1"}, {"-11 -12", "9=1"}, {"+11 +12", "11=1 12=1"}}},
}
