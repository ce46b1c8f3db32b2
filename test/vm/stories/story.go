package main

import (
	"fmt"
	"slices"
	"strings"
)

// story is a virtual server, and what becomes of its real servers.
type story struct {
	name  string
	short bool // it is told in short runs, too
	// words are those of the virtual server, a line each, and all those of each real server.
	words, all string
	// servers are the last parts of the real servers' addresses, each with its weight.
	servers string
	// check is the check of each real server; MISC_CHECK of a file where it says nothing.
	check string
	// peer has the functions of shell that begin, start and stop the real server 10.0.0.11.
	peer  string
	steps []step
}

// step is what changes, and the table that follows from it: "11=1 12=0". Where the story has a
// real server, the change is a line of shell there; behind "here: " it is one on both directors.
type step struct{ change, want string }

// stories are all that are told.
var stories = slices.Concat(quorums, checks)

// service is a configuration but for its real servers. DIR is the director's folder, PORT the
// port of its mail relay.
const service = `global_defs {
	script_user root
	lvs_notify_fifo DIR/fifo
	router_id director
	smtp_server 10.0.0.3 PORT
	smtp_helo_name director.example.org
	smtp_connect_timeout 20
	notification_email_from director@example.org
	notification_email {
		one@example.org
		two@example.org
	}
}
virtual_server 10.0.0.1 80 {
	delay_loop 1
	warmup 0
	lb_algo rr
	lb_kind NAT
	protocol TCP
	smtp_alert
	quorum_up "DIR/../note DIR/told q up 'two words'"
	quorum_down "DIR/../note DIR/told q down 'two words'"
	WORDS
`

const realServer = `	real_server 10.0.0.NAME 80 {
		weight WEIGHT
		notify_up "DIR/../note DIR/told NAME up 'two words'"
		notify_down "DIR/../note DIR/told NAME down 'two words'"
		WORDS
		CHECK
	}
`

const fileCheck = `MISC_CHECK {
	misc_path "/usr/bin/test -e DIR/up/NAME"
	misc_timeout 20
}`

// conf is the story's configuration for a director.
func (s story) conf(dir string, port int) string {
	check := s.check
	if check == "" {
		check = fileCheck
	}
	text := strings.ReplaceAll(service, "WORDS", strings.ReplaceAll(s.words, ";", "\n"))
	for _, one := range strings.Fields(s.servers) {
		name, weight, _ := strings.Cut(one, "=")
		server := strings.NewReplacer("WORDS", s.all, "CHECK", check).Replace(realServer)
		text += strings.NewReplacer("NAME", name, "WEIGHT", weight).Replace(server)
	}
	return strings.NewReplacer("DIR", dir, "PORT", fmt.Sprint(port)).Replace(text) + "}\n"
}
