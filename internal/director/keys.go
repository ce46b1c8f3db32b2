package director

import (
	"fmt"
	"strings"
	"time"

	"weir/conf"
	"weir/vrrp"
)

// keyWithin is how long the file of a key is waited for: its disk may hang, and an instance
// opens its link again while others go on.
const keyWithin = time.Second

// readKeys are keys of auth_hmac, those among them that are in files as the files have them.
func readKeys(keys []vrrp.HMACKey) (read []vrrp.HMACKey, err error) {
	for _, k := range keys {
		if path, ok := strings.CutPrefix(k.Value, "file:"); ok {
			text, err := conf.ReadFileWithin(path, keyWithin)
			if err != nil {
				return nil, fmt.Errorf("auth_hmac key %d: %w", k.ID, err)
			}
			k.Value = strings.TrimRight(string(text), "\r\n")
		}
		read = append(read, k)
	}
	return read, nil
}
