package text

import (
	"fmt"
	"net/netip"
	"strconv"
	"time"
)

// Value is a value as the file would have it.
func Value(v any) string {
	switch v := v.(type) {
	case time.Duration:
		return Seconds(v)
	case bool:
		if v {
			return "on"
		}
		return "off"
	case netip.Addr:
		if !v.IsValid() {
			return "none"
		}
		return v.String()
	}
	return fmt.Sprint(v)
}

// Seconds writes a time as seconds without superfluous zeros.
func Seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64)
}
