package conf

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"weir/conf/text"
)

// AuthType is the authentication of a VRRP instance's advertisements.
type AuthType string

const (
	// AuthNone is no authentication.
	AuthNone AuthType = "none"
	// AuthPass is the clear-text password of RFC 2338.
	AuthPass AuthType = "PASS"
	// AuthHeader is the authentication header of RFC 2338.
	AuthHeader AuthType = "AH"
)

// Auth is how advertisements are authenticated.
type Auth struct {
	Type AuthType `json:"auth_type"`
	// Password has at most eight bytes, what an advertisement carries.
	Password string `json:"auth_pass" secret:"yes"`
}

// HMAC is auth_hmac: signed advertisements as some keepalived have them.
type HMAC struct {
	given
	Keys       []HMACKey     `json:"key"`
	ActiveKey  int           `json:"active_key"`
	AntiReplay string        `json:"anti_replay"`
	TimeWindow time.Duration `json:"time_window"`
	Mode       string        `json:"mode"`
}

// HMACKey is a key with its number.
type HMACKey struct {
	ID  int    `json:"id"`
	Key string `json:"key" secret:"yes"`
}

// authBlock is the table of authentication.
func authBlock() *blockSpec {
	type I = rawInstance
	types := oneOf(choice[AuthType]{noun: "authentication type", known: []named[AuthType]{{"PASS", AuthPass}, {"AH", AuthHeader}}})
	return &blockSpec{name: "authentication", done: func(r *reader, b *text.Block, _ any) {
		if has(b, "auth_type") {
			r.require(b, "auth_pass", "expected auth_pass, up to 8 characters, the same on both directors")
			return
		}
		r.require(b, "auth_type", "expected auth_type PASS")
	}, entries: []*entry{
		value("auth_type", types, func(i *I) *AuthType { return &i.Auth.Type }, "a clear-text password (PASS), or the authentication header (AH)", initially(AuthNone)),
		custom("auth_pass", "a password", "the password, the same on all directors; its first 8 bytes count", readPassword, secret("hidden")),
	}}
}

// maxPassword is what an advertisement of version 2 has room for, in bytes.
const maxPassword = 8

// readPassword cuts a long password as keepalived does, and says so.
func readPassword(r *reader, st *text.Statement, i *rawInstance) bool {
	pass, ok := one(r, st, nonEmpty("a password"))
	if !ok {
		return false
	}
	if plain, single := st.Words[1].AsPlain(); plain != pass || !single {
		if !single {
			r.errorAt(st.Words[1].Place, "auth_pass: keepalived reads this as several words", `put "..." around the whole password, without ' and \ in it`)
			return false
		}
		// What the other director would read: they have to have the same.
		pass = plain
		r.warnAt(st.Words[1].Place, "quotes", "auth_pass: ' and \\ are parts of the password, as in keepalived", `put "..." around it, if they are not meant`)
	}
	if len(pass) > maxPassword {
		pass = pass[:maxPassword]
		r.warnAt(st.Words[1].Place, "password-cut", fmt.Sprintf("auth_pass is cut to its first %d bytes", maxPassword),
			"an advertisement has no room for more")
	}
	i.Auth.Password = pass
	return true
}

// hmacBlock is the table of auth_hmac.
func hmacBlock() *blockSpec {
	type H = HMAC
	id := number(1, 255)
	return &blockSpec{name: "auth_hmac", entries: []*entry{
		repeatable(custom("key", "ID VALUE", "a key of 32 to 64 bytes: hex:..., file:PATH or text", func(r *reader, st *text.Statement, h *H) (ok bool) {
			var k HMACKey
			if k.ID, ok = after(r, st, 0, id); !ok {
				return false
			}
			if k.Key, ok = after(r, st, 1, hmacKey()); ok && len(st.Words) > 3 {
				r.extra(st, 3)
			}
			if ok {
				h.Keys = append(h.Keys, k)
			}
			return ok
		}, secret("hidden_by_weir_show_config_until_--secrets"))),
		value("active_key", id, func(h *H) *int { return &h.ActiveKey }, "the key that signs"),
		value("anti_replay", oneWord("way", "time", "monotonic"), func(h *H) *string { return &h.AntiReplay }, "how a repeated advertisement is told", initially("time")),
		value("time_window", wholeSeconds(time.Second, 300*time.Second), func(h *H) *time.Duration { return &h.TimeWindow }, "how far clocks may differ", otherwise("three times advert_int, and 5 at least")),
		value("mode", oneWord("mode", "enforce", "permissive", "receive-only"), func(h *H) *string { return &h.Mode }, "what becomes of advertisements without a signature", initially("enforce")),
	}}
}

// resolveHMAC checks that the keys are told apart, and that there is one to sign with. As in
// keepalived, authentication has no effect beside signatures.
func (i *rawInstance) resolveHMAC(r *reader) {
	h := &i.HMAC
	if len(h.Keys) == 0 {
		return
	}
	seen := map[int]bool{}
	for _, k := range h.Keys {
		if seen[k.ID] {
			r.errorAt(h.PlaceOf("key"), fmt.Sprintf("auth_hmac: key %d is given twice", k.ID), "expected a number of its own for each key")
		}
		seen[k.ID] = true
	}
	switch {
	case h.Has("active_key") && !seen[h.ActiveKey]:
		r.errorAt(h.PlaceOf("active_key"), fmt.Sprintf("auth_hmac: there is no key %d to sign with", h.ActiveKey), "expected the number of one of its keys")
	case !i.hmacHas("active_key"):
		r.errorAt(h.PlaceOf("key"), "auth_hmac has no active_key", "expected active_key ID, the key that signs")
	}
	if i.Auth.Type != AuthNone {
		r.warnAt(i.PlaceOf("auth_type"), "no-effect", "authentication has no effect beside auth_hmac: it is ignored", "take one of them out")
		i.Auth = Auth{Type: AuthNone}
	}
}

// hmacHas tells whether auth_hmac mentions a keyword, also where its value is wrong.
func (i *rawInstance) hmacHas(keyword string) bool {
	return slices.ContainsFunc(statementsOf(i.head.Block, "auth_hmac"), func(st *text.Statement) bool {
		return st.Block != nil && has(st.Block, keyword)
	})
}

// Window is how far the clocks of two directors may differ: 0 is that clocks do not count.
func (h *HMAC) Window(advertInterval time.Duration) time.Duration {
	const least = 5 * time.Second
	switch {
	case h.AntiReplay == "monotonic":
		return 0
	case h.TimeWindow > 0:
		return h.TimeWindow
	}
	return max(3*advertInterval, least)
}

func hmacKey() kind[string] {
	return kind[string]{"hex:DIGITS, file:PATH or 32 to 64 characters", func(text string) (string, *complaint) {
		if strings.HasPrefix(text, "file:/") {
			return text, nil
		}
		size := len(text)
		if digits, ok := strings.CutPrefix(text, "hex:"); ok {
			b, err := hex.DecodeString(digits)
			if err != nil {
				return "", complain("the key is no hexadecimal number")
			}
			size = len(b)
		}
		if size < 32 || size > 64 {
			return "", complain("the key has %d bytes", size)
		}
		return text, nil
	}}
}
