package check

import (
	"strings"
	"testing"

	"weir/test/mutate"
)

// Each row goes on from what the agent has said in the row before it.
func TestAgentsLines(t *testing.T) {
	var s AgentState
	for _, tt := range []struct {
		line, want, amiss string
		out, drains       bool
	}{
		{line: "75%\n", want: "75%"},
		{line: "up\n", want: "75%"},
		{line: "DRAIN # kernel update\r\n", want: "drain 75% (kernel update)", drains: true},
		{line: "drain # another comment is no news", want: "drain 75% (kernel update)", drains: true},
		{line: "Down,50%\t#disk full\n", want: "drain down 50% (disk full)", out: true, drains: true},
		{line: "ready\n", want: "down 50%", out: true},
		{line: "stopped #by hand\n", want: "stopped 50% (by hand)", out: true},
		{line: "fail\n", want: "fail 50%", out: true},
		{line: "up ready 100%\n", want: "100%"},
		{line: "maint 100% maxconn:30\n", want: "maint 100% maxconn:30", out: true},
		{line: "up\n", want: "maint 100% maxconn:30", out: true},
		{line: "ready\nmaint\n", want: "100% maxconn:30"},
		{line: "maxconn:0 up up 10% 20%", want: "20%"},
		{line: "0%\n", want: "0%"},
		{line: "25600%\n", want: "25600%"},
		{line: "25601%\n", want: "25600%", amiss: `"25601%" is no word of agent-check`},
		{line: "-1%\n", want: "25600%", amiss: `"-1%" is no word of agent-check`},
		{line: "99999999999999999999999%\n", want: "25600%", amiss: `"99999999999999999999999%" is no word of agent-check`},
		{line: "%\n", want: "25600%", amiss: `"%" is no word of agent-check`},
		{line: "maxconn: 30\n", want: "25600%", amiss: `"maxconn:" is no word of agent-check`},
		{line: "50 up 10%\n", want: "10%", amiss: `"50" is no word of agent-check`},
		{line: "HTTP/1.1 400 Bad Request\r\n", want: "10%", amiss: `"HTTP/1.1" is no word of agent-check`},
		{line: "\n", want: "10%", amiss: "an empty line"},
		{line: "# nothing\n", want: "10%", amiss: "an empty line"},
		{line: "\x00\xff\x1b[2J\n", want: "10%", amiss: `"\x00\xff\x1b[2J" is no word of agent-check`},
		{line: "down #\x1b[31m" + strings.Repeat("x", 500), want: "down 10% (?[31m" + strings.Repeat("x", 115) + ")", out: true},
		{line: "up", want: "10%"},
	} {
		was := s
		s = s.Hear(tt.line)
		if got := s.String(); got != tt.want || s.Amiss != tt.amiss || s.Out() != tt.out || s.Drains() != tt.drains {
			t.Errorf("%q, %q: %q, amiss %q, out %v, drains %v; want %q, %q, %v, %v", was, tt.line, got, s.Amiss, s.Out(), s.Drains(), tt.want, tt.amiss, tt.out, tt.drains)
		}
	}
}

var agentLines = mutate.Of("75%\n", "up", "maint # down", "drain,ready\t50%", "maxconn:30 stopped\r\n", "down #\xff\x00", "25600%", "HTTP/1.0 200 OK\r\n\r\n")

func FuzzAgentLine(f *testing.F) { mutate.Fuzz(f, agentLines, checkAgentLine) }

func TestAgentLineMutations(t *testing.T) {
	mutate.Test(t, "FuzzAgentLine", agentLines, checkAgentLine)
}

// checkAgentLine holds whatever an agent says to the bounds of its parts. What a state says
// of itself is taken for the same state.
func checkAgentLine(t *testing.T, line string) {
	s := AgentState{}.Hear(line)
	if s.Percent < 0 || s.Percent > mostPercent || s.Most < 0 || len(s.Comment) > longestComment || len(s.Amiss) > 200 {
		t.Fatalf("%q: %+v is out of bounds", line, s)
	}
	for _, c := range s.String() + s.Amiss {
		if c < ' ' || c > '~' {
			t.Fatalf("%q: %q has %q, which is not to be shown", line, s, c)
		}
	}
	if w := (Weight{Agent: s}).Change(1<<31 - 1); w < -(1<<31 - 1) {
		t.Fatalf("%q: weight below 0", line)
	}
	bare := s
	bare.Amiss, bare.Comment = "", ""
	if again := (AgentState{}).Hear(bare.String()); bare.String() != "" && again.String() != bare.String() {
		t.Fatalf("%q: %+v says %q, which is %+v", line, bare, bare.String(), again)
	}
}
