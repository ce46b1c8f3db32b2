package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"weir/internal/cluster"
	"weir/lvs"
)

// The actions of a Rule.
const (
	Deny  = "deny"
	Allow = "allow"
)

// Rule says which clients no service serves (deny), or which it serves nevertheless (allow).
type Rule struct {
	Action  string       `json:"action"`
	Network netip.Prefix `json:"network"`
	// Protocol is TCP or UDP; empty is both. Port is that of the service; 0 is any.
	Protocol string `json:"protocol,omitempty"`
	Port     uint16 `json:"port,omitempty"`
	// Live says that it was given to the running weir, and not by the file. Until is
	// when it ends; nil: it stays until it is removed.
	Live  bool       `json:"live"`
	Until *time.Time `json:"until,omitempty"`
	// Denied counts the packets that it has denied.
	Denied uint64 `json:"denied_packets"`
}

// RuleRequest is a live rule that is to be, or to be no more.
type RuleRequest struct {
	Action   string       `json:"action"`
	Network  netip.Prefix `json:"network"`
	Protocol string       `json:"protocol,omitempty"`
	Port     uint16       `json:"port,omitempty"`
	// Seconds is how long it is to be; 0: until it is removed.
	Seconds float64 `json:"seconds,omitempty"`
}

// Rules are the data plane's rules about clients. Any goroutine may call them.
type Rules interface {
	// AddRule returns when connections of clients that it denies have ended.
	AddRule(rule lvs.AccessRule, deny bool, d time.Duration) error
	// RemoveRule says whether there was such a rule.
	RemoveRule(rule lvs.AccessRule, deny bool) (found bool, err error)
	Rules() ([]lvs.AccessState, error)
}

// ServeRules has the server answer about these rules as well. It is called before Run.
func (s *Server) ServeRules(r Rules) { s.rules = r }

// errNoRule is the error about a rule that is to be removed and is not there.
var errNoRule = errors.New("there is no such live rule; one of the file is removed there (weir reload)")

// maxSeconds is the longest time of a live rule: a hundred years.
const maxSeconds = 100 * 365 * 24 * 3600

// rule reads the rule of a request.
func (r RuleRequest) rule() (rule lvs.AccessRule, err error) {
	switch {
	case r.Action != Deny && r.Action != Allow:
		return rule, fmt.Errorf("action %q: expected deny or allow", r.Action)
	case !r.Network.IsValid():
		return rule, errors.New("network: expected one such as 203.0.113.0/24")
	case !(r.Seconds >= 0 && r.Seconds <= maxSeconds):
		return rule, fmt.Errorf("seconds %g: expected 0 to %d", r.Seconds, maxSeconds)
	}
	rule = lvs.AccessRule{Network: r.Network.Masked(), Port: r.Port}
	switch r.Protocol {
	case "":
	case lvs.TCP.String():
		rule.Protocol = lvs.TCP
	case lvs.UDP.String():
		rule.Protocol = lvs.UDP
	default:
		return rule, fmt.Errorf("protocol %q: expected TCP or UDP", r.Protocol)
	}
	return rule, nil
}

// listRules answers GET /v1/rules.
func (s *Server) listRules(w http.ResponseWriter, _ *http.Request) {
	states, err := s.rules.Rules()
	if err != nil {
		fail(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	all := []Rule{}
	for _, state := range states {
		all = append(all, ruleOf(state))
	}
	reply(w, http.StatusOK, all)
}

func ruleOf(s lvs.AccessState) Rule {
	r := Rule{Action: Allow, Network: s.Network, Port: s.Port, Live: s.Live, Denied: s.Packets}
	if s.Deny {
		r.Action = Deny
	}
	if s.Protocol != 0 {
		r.Protocol = s.Protocol.String()
	}
	if !s.Until.IsZero() {
		r.Until = &s.Until
	}
	return r
}

// changeRule answers POST and DELETE /v1/rules.
func (s *Server) changeRule(w http.ResponseWriter, r *http.Request) {
	var request RuleRequest
	if err := readBody(w, r, 1<<12, &request); err != nil {
		fail(w, http.StatusBadRequest, fmt.Sprintf(`the body: %v; expected JSON such as {"action": "deny", "network": "203.0.113.0/24", "seconds": 600}`, err))
		return
	}
	rule, err := request.rule()
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	change := s.addRule
	if r.Method == http.MethodDelete {
		change = s.removeRule
	}
	if err := change(request, rule); errors.Is(err, errNoRule) {
		fail(w, http.StatusNotFound, err.Error())
	} else if err != nil {
		fail(w, http.StatusUnprocessableEntity, err.Error())
	} else {
		reply(w, http.StatusOK, struct{}{})
	}
}

func (s *Server) addRule(request RuleRequest, rule lvs.AccessRule) error {
	d := time.Duration(request.Seconds * float64(time.Second))
	if err := s.rules.AddRule(rule, request.Action == Deny, d); err != nil {
		return err
	}
	s.events.Publish(cluster.RuleSet(request.Action, rule, d))
	return nil
}

func (s *Server) removeRule(request RuleRequest, rule lvs.AccessRule) error {
	found, err := s.rules.RemoveRule(rule, request.Action == Deny)
	if err != nil {
		return err
	}
	if !found {
		return errNoRule
	}
	s.events.Publish(cluster.RuleTakenBack(request.Action, rule))
	return nil
}

// Rules asks for the rules about clients, the largest networks first.
func (c *Client) Rules(ctx context.Context) (all []Rule, err error) {
	body, err := c.get(ctx, "rules")
	if err != nil {
		return nil, err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&all); err != nil {
		return nil, fmt.Errorf("the rules of the weir that runs with %s: %w", c.runDir, err)
	}
	return all, nil
}

// AddRule adds a live rule, or gives it another time.
func (c *Client) AddRule(ctx context.Context, r RuleRequest) error {
	return c.changeRule(ctx, http.MethodPost, r)
}

// RemoveRule removes a live rule. One that is not there is an error.
func (c *Client) RemoveRule(ctx context.Context, r RuleRequest) error {
	return c.changeRule(ctx, http.MethodDelete, r)
}

func (c *Client) changeRule(ctx context.Context, method string, r RuleRequest) error {
	body, err := json.Marshal(r)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://weir/v1/rules", bytes.NewReader(body))
	if err != nil {
		return err
	}
	answer, err := c.open(request, "rules")
	if err != nil {
		return err
	}
	return answer.Close()
}
