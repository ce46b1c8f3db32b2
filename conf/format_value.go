package conf

import (
	"fmt"
	"net/netip"
	"time"
)

// show is a value as the file would have it.
func show(v any) string {
	switch v := v.(type) {
	case time.Duration:
		return decimal(v)
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
