package main

import (
	"errors"
	"io"
	"os"
)

// defaultConfig is the file that is read where none is named.
const defaultConfig = "/etc/keepalived/keepalived.conf"

// stdinName is what standard input is called in what is said about it.
const stdinName = "(standard input)"

// A verb that reads files has them as arguments: FILE, - for standard input, or none for
// defaultConfig.

// filesOf are the files that a verb's arguments name.
func filesOf(args []string) []string {
	if len(args) == 0 {
		return []string{defaultConfig}
	}
	return args
}

// fileOf is the one file that they name.
func fileOf(args []string) string { return filesOf(args)[0] }

// nameOf is what a file is called in what is said about it.
func nameOf(path string) string {
	if path == "-" {
		return stdinName
	}
	return path
}

// readInput reads a file, or standard input where it is called -. The error has no path.
func readInput(in io.Reader, path string) ([]byte, error) {
	if path == "-" {
		return io.ReadAll(in)
	}
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return nil, errors.New("it is a directory")
	}
	var content []byte
	if err == nil {
		content, err = os.ReadFile(path)
	}
	var at *os.PathError
	if errors.As(err, &at) {
		return nil, at.Err
	}
	return content, err
}
