package conf_test

import (
	"weir/conf"
	"weir/conf/lint"
)

func init() { conf.TestLinter = lint.Rules }
