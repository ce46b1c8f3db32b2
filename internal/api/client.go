package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Client asks the weir that runs with a folder.
type Client struct {
	runDir string
	http   http.Client
}

// NewClient makes one; nothing is connected yet.
func NewClient(runDir string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", Socket(runDir))
	}
	return &Client{runDir: runDir, http: http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// Plan tells what a reload would change. The error is of the asking; what weir
// says stands in Answer.Error.
func (c *Client) Plan(ctx context.Context, r Request) (Answer, error) { return c.post(ctx, "plan", r) }

// Reload does it.
func (c *Client) Reload(ctx context.Context, r Request) (Answer, error) {
	return c.post(ctx, "reload", r)
}

// Stop has weir hand its masterships over at once and end. It does not wait for that; most is how
// long shutdown_script may take.
func (c *Client) Stop(ctx context.Context) (most time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://weir/v1/stop", nil)
	if err != nil {
		return 0, err
	}
	response, err := c.do(req)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("the weir that runs with %s does not know /v1/stop (%s): is it an older one?", c.runDir, response.Status)
	}
	var answer stopping
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return 0, fmt.Errorf("the answer to /v1/stop: %w", err)
	}
	return time.Duration(answer.Script * float64(time.Second)), nil
}

func (c *Client) post(ctx context.Context, verb string, r Request) (a Answer, err error) {
	body, err := json.Marshal(r)
	if err != nil {
		return a, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://weir/v1/"+verb, bytes.NewReader(body))
	if err != nil {
		return a, err
	}
	response, err := c.do(req)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		return a, fmt.Errorf("the answer of the weir that runs with %s (%s): %w", c.runDir, response.Status, err)
	}
	return a, nil
}

// do sends a request, and says what to do where nobody answers.
func (c *Client) do(r *http.Request) (*http.Response, error) {
	response, err := c.http.Do(r)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		return nil, fmt.Errorf("%w with %s: start it by weir run -f FILE, or name the folder of the one that runs by --run-dir", ErrNoWeir, c.runDir)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("%s is for root alone: %w", Socket(c.runDir), os.ErrPermission)
	case err != nil:
		return nil, fmt.Errorf("ask the weir that runs with %s: %w", c.runDir, err)
	}
	return response, nil
}

// ErrNoWeir is the error where nobody listens at the socket.
var ErrNoWeir = errors.New("no weir runs")
