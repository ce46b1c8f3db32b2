package vrrp

import (
	"net"
	"time"
)

// strangers are when an advert of each other VRID was delivered last.
type strangers [256]time.Time

// strangerEvery is the least time between two of them.
const strangerEvery = time.Minute

// stranger says whether a packet is of another virtual router, and the Packet to deliver of
// it: none where one was not long ago. Nothing else of it is checked.
func (l *Link) stranger(b []byte, mac net.HardwareAddr) (p Packet, is, due bool) {
	ip, err := parseIP(b)
	if err != nil {
		return p, false, false
	}
	payload := b[ip.header:]
	if ip.protocol == protocolAH {
		payload = payload[min(ahLen, len(payload)):]
	}
	if len(payload) < 2 || payload[1] == l.cfg.VRID {
		return p, false, false
	}
	vrid, now := payload[1], time.Now()
	if last := l.strangers[vrid]; !last.IsZero() && now.Sub(last) < strangerEvery {
		return p, true, false
	}
	l.strangers[vrid] = now
	p = Packet{Source: ip.source, MAC: mac, TTL: ip.ttl, Err: dropf(DropVRID, "VRID %d, expected %d", vrid, l.cfg.VRID)}
	p.Advertisement.VRID = vrid
	return p, true, true
}
