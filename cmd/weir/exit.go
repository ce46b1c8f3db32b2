package main

import (
	"errors"
	"fmt"
)

// errSilent ends a command with exit code 1 whose output has said why already.
var errSilent = errors.New("failed")

// exitCode ends a command with a code of its own; what there was to say has been
// said.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }
