package check

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"weir/conf"
)

// Agent is agent_check: HAProxy's agent-check, by which a server says itself what share of
// the connections it takes. It is asked beside the other checks. An agent that is silent, late
// or says what nobody understands leaves everything as it is: that the server serves is what
// the other checks are for.
type Agent struct {
	Endpoint
	Send  string // what the agent is sent first; empty is nothing
	state AgentState
}

// longestAnswer is how many bytes an agent's line may have.
const longestAnswer = 1024

func newAgent(c conf.Check, _ *Shared) Checker {
	return &Agent{Endpoint: endpointOf(c), Send: c.Agent.Send}
}

func (c *Agent) String() string { return string(conf.CheckAgent) + " " + c.Target.String() }

// AgentOut is the reason of a server that its agent has taken out.
type AgentOut struct{ State AgentState }

func (e *AgentOut) Error() string {
	text := "its agent says " + e.State.String()
	if e.State.Amiss != "" {
		text += "; by now: " + e.State.Amiss
	}
	return text
}

// AgentOf is what the agent of a verdict has said.
func AgentOf(w Weight, reason error) AgentState {
	var out *AgentOut
	if errors.As(reason, &out) {
		return out.State
	}
	return w.Agent
}

// Resume has the agent go on from what it has said to another Agent of the server.
func (c *Agent) Resume(s AgentState) { c.state = s }

// Check asks the agent and tells what it has said by then. The error is an AgentOut, an
// OwnError, or that of a ctx that has been cancelled.
func (c *Agent) Check(ctx context.Context) (Weight, error) {
	line, reason := c.line(ctx)
	if reason != nil {
		var own *OwnError
		if ctx.Err() != nil || errors.As(reason, &own) {
			return Weight{}, reason
		}
		c.state.Amiss = reason.Error()
	} else {
		c.state = c.state.Hear(line)
	}
	if c.state.Out() {
		return Weight{}, &AgentOut{c.state}
	}
	return Weight{Agent: c.state}, nil
}

// line is what the agent says up to the end of the line, or until it closes the connection,
// all within Timeout. The error is as Endpoint.reason gives it.
func (c *Agent) line(ctx context.Context) (string, error) {
	until := c.deadline()
	conn, err := c.dial(ctx, "tcp")
	if err != nil {
		return "", err
	}
	defer c.hangUp(conn)
	release, err := bound(ctx, conn, until)
	if err != nil {
		return "", c.reason(ctx, err)
	}
	defer release()
	if c.Send != "" {
		if _, err := io.WriteString(conn, c.Send+"\n"); err != nil {
			return "", c.reason(ctx, err)
		}
	}
	line, err := bufio.NewReader(io.LimitReader(conn, longestAnswer)).ReadString('\n')
	switch {
	case err == nil:
	case errors.Is(err, io.EOF) && len(line) == longestAnswer:
		return "", fmt.Errorf("no end of its line within %d bytes", longestAnswer)
	case errors.Is(err, io.EOF) && line == "":
		return "", errors.New("it closes the connection without an answer")
	case errors.Is(err, io.EOF):
	case isTimeout(err) && line != "" && ctx.Err() == nil:
		return "", fmt.Errorf("no end of its line within %s", c.Timeout)
	default:
		return "", c.reason(ctx, err)
	}
	return line, nil
}
