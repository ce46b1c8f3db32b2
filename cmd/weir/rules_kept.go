package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"weir/internal/api"
	"weir/internal/statefile"
	"weir/lvs"
)

// A stop takes the data plane away, and with it the live rules about clients. They are
// kept in a file of the run folder for the next start. A process that dies keeps them in
// the pinned tables.

func keptRules(runDir string) string { return filepath.Join(runDir, "rules.json") }

// keepRules writes the live rules into the file, or removes the file where there is none.
func keepRules(rules api.Rules, runDir string) error {
	all, err := rules.Rules()
	if err != nil {
		return fmt.Errorf("keep the live rules: %w", err)
	}
	var live []lvs.AccessState
	for _, r := range all {
		if r.Live {
			live = append(live, r)
		}
	}
	path := keptRules(runDir)
	if len(live) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("keep the live rules: %w", err)
		}
		return nil
	}
	text, err := json.Marshal(live)
	if err != nil {
		return fmt.Errorf("keep the live rules: %w", err)
	}
	if err := statefile.Write(path, text); err != nil {
		return fmt.Errorf("keep the live rules: %w", err)
	}
	return nil
}

// restoreRules takes up what keepRules has written, and removes the file. Rules whose time
// is over are left out.
func restoreRules(rules api.Rules, runDir string) error {
	path := keptRules(runDir)
	text, err := statefile.Read(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("take up the live rules: %w", err)
	}
	var live []lvs.AccessState
	if err := json.Unmarshal(text, &live); err != nil {
		return fmt.Errorf("take up the live rules of %s: %w", path, err)
	}
	for i, r := range live {
		if !r.Network.IsValid() || r.Protocol != 0 && r.Protocol != lvs.TCP && r.Protocol != lvs.UDP {
			return fmt.Errorf("take up the live rules of %s: number %d has no network, or neither TCP nor UDP: none is taken up", path, i+1)
		}
	}
	for _, r := range live {
		var left time.Duration
		if !r.Until.IsZero() {
			if left = time.Until(r.Until); left <= 0 {
				continue
			}
		}
		if err := rules.AddRule(r.AccessRule, r.Deny, left); err != nil {
			return fmt.Errorf("take up the live rules: %w", err)
		}
	}
	return os.Remove(path)
}
