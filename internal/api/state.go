package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"weir/internal/director"
)

// state answers GET /v1/state.
func (s *Server) state(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), writeWithin)
	defer cancel()
	state, err := s.director.State(ctx)
	if err != nil {
		fail(w, http.StatusServiceUnavailable, fmt.Sprintf("no state: %v; expected a weir that has started and is not stopping", err))
		return
	}
	reply(w, http.StatusOK, state)
}

// State asks what has been set up on the machine. The errors are those of the connection,
// or what weir says.
func (c *Client) State(ctx context.Context) (s director.State, err error) {
	body, err := c.get(ctx, "state")
	if err != nil {
		return s, err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&s); err != nil {
		return s, fmt.Errorf("the state of the weir that runs with %s: %w", c.runDir, err)
	}
	return s, nil
}
