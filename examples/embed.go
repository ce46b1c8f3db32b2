// Package examples holds the example configurations, for the lab and for the
// tests that run them as they are.
package examples

import "embed"

// Seed has seed/master.conf and seed/backup.conf: the two directors of the
// first example.
//
//go:embed seed/*.conf
var Seed embed.FS
