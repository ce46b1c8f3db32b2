package interop

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"weir/vrrp"
)

// answer is what a master sends when it hears another one, whose adverts the test makes.
type answer struct {
	name    string
	version uint8
	words   string // of the instance
	global  string // of global_defs
	want    string // all adverts of the segment, one after the other
	short   bool   // it is compared in short runs, too
}

const (
	// ownPriority is the instance's. Its skew time is 0.23 s of longInterval in version 3.
	ownPriority, lowerPriority, higherPriority = 253, 100, 254
	// longInterval keeps a master's regular adverts out of what is compared.
	longInterval = 20 * time.Second
	// answersRest is longer than weir leaves between two answers.
	answersRest = 300 * time.Millisecond
)

// The peer sends an advert of lower priority, one of priority 0, one of higher priority, and
// one of priority 0. Those of priority 0 have the instance send one in any case: where an answer
// was to come before, it stands before that.
const (
	answersLower  = "peer 100, own 253, peer 0, own 253"
	silentToLower = "peer 100, peer 0, own 253"
	givesWay      = ", peer 254, peer 0, own 253"
	sendsAndGoes  = ", peer 254, own 253, peer 0, own 253"
)

var answers = []answer{
	{name: "v2", version: 2, want: answersLower + givesWay},
	{name: "v3", version: 3, want: answersLower + givesWay},
	{name: "v2 lower_prio_no_advert", version: 2, words: "lower_prio_no_advert", want: silentToLower + givesWay},
	{name: "v3 lower_prio_no_advert", version: 3, words: "lower_prio_no_advert", want: silentToLower + givesWay},
	{name: "v2 higher_prio_send_advert", version: 2, words: "higher_prio_send_advert", want: answersLower + sendsAndGoes},
	{name: "v3 higher_prio_send_advert", version: 3, words: "higher_prio_send_advert", want: answersLower + sendsAndGoes},
	{name: "v2 both", version: 2, words: "lower_prio_no_advert\nhigher_prio_send_advert", want: silentToLower + sendsAndGoes, short: true},
	{name: "v3 both of all", version: 3, global: "vrrp_lower_prio_no_advert\nvrrp_higher_prio_send_advert", want: silentToLower + sendsAndGoes, short: true},
	{name: "v2 both of all but not here", version: 2, global: "vrrp_lower_prio_no_advert\nvrrp_higher_prio_send_advert",
		words: "lower_prio_no_advert off\nhigher_prio_send_advert off", want: answersLower + givesWay},
	{name: "v2 strict_mode", version: 2, words: "strict_mode", want: silentToLower + givesWay},
}

// TestAnswersLikeKeepalived wants the same adverts in the same order from weir and from the real
// keepalived, where another master is heard.
func TestAnswersLikeKeepalived(t *testing.T) {
	t.Parallel()
	for _, a := range answers {
		if !a.short && !*all {
			continue
		}
		for _, name := range []string{"weir", "keepalived"} {
			t.Run(strings.ReplaceAll(a.name, " ", "-")+"/"+name, func(t *testing.T) {
				t.Parallel()
				a.run(t, name)
			})
		}
	}
}

func (a answer) run(t *testing.T, name string) {
	s := startScripted(t, name, a.version, longInterval, fmt.Sprintf("global_defs {\n%s\n}\n", a.global), a.words)
	s.waitLog(t, "it is a backup", `(?i)VI_1.*(entering backup|to=backup)`, 1)
	// A segment that has just been made may lose the first. Each begins the skew time anew.
	eventually(t, "it is the master", starting, func() bool {
		s.send(t, 0)
		for end := time.Now().Add(4 * answersRest); s.owns(0) == 0 && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond)
		}
		return s.owns(0) > 0
	})
	time.Sleep(answersRest)
	mark := s.mark()
	for n, priority := range []uint8{lowerPriority, 0, higherPriority, 0} {
		before := s.owns(mark)
		s.send(t, priority)
		switch {
		case priority == 0:
			s.waitOwn(t, mark, before+1)
		case priority == lowerPriority:
			s.waitLog(t, "it has heard the lower one", `(?i)(with lower priority|of a lower master)`, 1)
		default:
			s.waitLog(t, "it has given way", `(?i)VI_1.*(entering backup|to=backup)`, 2)
		}
		// An answer that is due is waited for; one that is not has time to come.
		want := strings.Join(strings.Split(a.want, ", ")[:prefix(a.want, n)], ", ")
		eventually(t, want, starting, func() bool { return s.since(mark) == want || !strings.HasPrefix(want, s.since(mark)) })
		time.Sleep(answersRest)
	}
	if got := s.since(mark); got != a.want {
		t.Errorf("sent %q, want %q", got, a.want)
	}
}

// prefix is how many adverts of a sequence there are before the peer's next one after its n-th.
func prefix(want string, n int) int {
	peers := -1
	list := strings.Split(want, ", ")
	for i, one := range list {
		if strings.HasPrefix(one, "peer") {
			if peers++; peers > n {
				return i
			}
		}
	}
	return len(list)
}

// scripted is a director with a peer whose adverts the test makes, and all adverts of their
// segment.
type scripted struct {
	host     *host
	link     *vrrp.Link
	version  uint8
	interval time.Duration
	log      func() string

	mu    sync.Mutex
	heard []sentAdvert
}

// sentAdvert is an advert and when it was heard.
type sentAdvert struct {
	own bool
	is  string
	at  time.Time
}

// startScripted starts a director of this name whose instance has these words.
func startScripted(t *testing.T, name string, version uint8, interval time.Duration, before, words string) *scripted {
	t.Helper()
	segment := newSegment(t)
	s := &scripted{host: segment.host(t, name, "192.168.25.31"), version: version, interval: interval}
	peer, ear := segment.host(t, "peer", "192.168.25.99"), segment.host(t, "ear", "192.168.25.98")
	capture(t, ear, s.take)
	must(t, within(peer.ns, func() (err error) {
		s.link, err = vrrp.OpenLink(vrrp.LinkConfig{Interface: "ens160", VRID: 51, Source: peer.addr}, slog.New(slog.NewTextHandler(t.Output(), nil)))
		return err
	}))
	t.Cleanup(func() {
		s.link.Close()
		if t.Failed() {
			t.Logf("heard: %s", s.since(0))
		}
	})
	text := before + strings.Replace(instance(1, "ens160", ownPriority, fmt.Sprintf("version %d\n%s", version, words)),
		"advert_int 1\n", fmt.Sprintf("advert_int %g\n", interval.Seconds()), 1)
	if name == "weir" {
		d := startDirector(t, s.host, text)
		s.log = d.log.String
		return s
	}
	p := startProgram(t, s.host, name, text)
	s.log = func() string { return p.log(t) }
	return s
}

// send sends an advert of the peer.
func (s *scripted) send(t *testing.T, priority uint8) {
	t.Helper()
	must(t, s.link.Send(vrrp.Advertisement{
		Version: s.version, VRID: 51, Priority: priority, Interval: s.interval, VIPs: []netip.Addr{netip.MustParseAddr("192.168.25.101")},
	}))
}

// take notes an advert. What does not belong to it by its version, its interval or its addresses
// is noted with them.
func (s *scripted) take(frame []byte) {
	const ethernet = 14
	if len(frame) < ethernet+20 || frame[ethernet+9] != vrrp.Protocol || binary.BigEndian.Uint16(frame[12:]) != unix.ETH_P_IP {
		return
	}
	b := frame[ethernet+int(frame[ethernet]&0xf)*4:]
	if len(b) < 12 {
		return
	}
	interval := time.Duration(b[5]) * time.Second
	if b[0]>>4 == 3 {
		interval = time.Duration(binary.BigEndian.Uint16(b[4:])) * 10 * time.Millisecond
	}
	one := sentAdvert{own: frame[ethernet+15] == 31, at: time.Now()}
	if one.is = fmt.Sprintf("peer %d", b[2]); one.own {
		one.is = fmt.Sprintf("own %d", b[2])
	}
	if b[0] != s.version<<4|1 || interval != s.interval || b[3] != 1 || netip.AddrFrom4([4]byte(b[8:12])) != netip.MustParseAddr("192.168.25.101") {
		one.is += fmt.Sprintf(" (version and type %#x, every %s, %d addresses: % x)", b[0], interval, b[3], b[8:])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, one)
}

func (s *scripted) mark() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.heard)
}

// since lists the adverts from a mark on.
func (s *scripted) since(mark int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, one := range s.heard[mark:] {
		list = append(list, one.is)
	}
	return strings.Join(list, ", ")
}

// owns counts the director's own adverts from a mark on.
func (s *scripted) owns(mark int) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.heard[mark:] {
		if one.own {
			n++
		}
	}
	return n
}

// waitOwn waits until the director has sent so many adverts from a mark on.
func (s *scripted) waitOwn(t *testing.T, mark, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("it has sent %d adverts", n), starting, func() bool { return s.owns(mark) >= n })
}

// waitLog waits until the director's log has so many lines of this kind.
func (s *scripted) waitLog(t *testing.T, what, pattern string, n int) {
	t.Helper()
	lines := regexp.MustCompile(pattern)
	eventually(t, what, starting, func() bool { return len(lines.FindAllString(s.log(), -1)) >= n })
}

// TestDownTimerLikeKeepalived wants both to take over as many intervals and the skew time after
// the last advert of a master as down_timer_adverts says.
func TestDownTimerLikeKeepalived(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name          string
		version       uint8
		interval      time.Duration
		before, words string
		adverts       int
		short         bool
	}{
		{name: "v2 1", version: 2, interval: 3 * time.Second, words: "down_timer_adverts 1", adverts: 1},
		{name: "v2 5", version: 2, interval: time.Second, words: "down_timer_adverts 5", adverts: 5},
		{name: "v2 default", version: 2, interval: time.Second, adverts: 3},
		{name: "v3 1", version: 3, interval: 2 * time.Second, words: "down_timer_adverts 1", adverts: 1, short: true},
		{name: "v3 2 of all", version: 3, interval: 2 * time.Second, before: "global_defs {\nvrrp_down_timer_adverts 2\n}\n", adverts: 2},
		{name: "v3 10", version: 3, interval: 500 * time.Millisecond, words: "down_timer_adverts 10", adverts: 10},
		{name: "v3 strict_mode", version: 3, interval: time.Second, words: "strict_mode\ndown_timer_adverts 5", adverts: 3},
	} {
		if !tt.short && !*all {
			continue
		}
		for _, name := range []string{"weir", "keepalived"} {
			t.Run(strings.ReplaceAll(tt.name, " ", "-")+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := startScripted(t, name, tt.version, tt.interval, tt.before, tt.words)
				s.waitOwn(t, 0, 1)
				// Behind an advert of its own: the next one is an interval away.
				next := s.owns(0) + 1
				s.waitOwn(t, 0, next)
				mark, sent := s.mark(), time.Now()
				s.send(t, higherPriority)
				skew := (256 - ownPriority) * time.Second / 256
				if tt.version == 3 {
					skew = (256 - ownPriority) * tt.interval / 256
				}
				want := time.Duration(tt.adverts)*tt.interval + skew
				took := eventually(t, "it has taken over", want+tt.interval*3/4, func() bool { return s.owns(mark) > 0 })
				s.mu.Lock()
				defer s.mu.Unlock()
				for _, one := range s.heard[mark:] {
					if early := want - one.at.Sub(sent); one.own && early > earlier {
						t.Errorf("it took over %s after the advert, want %s", one.at.Sub(sent), want)
					}
				}
				t.Logf("took over after %s, by the protocol %s", took, want)
			})
		}
	}
}

// earlier is by how much a timer of keepalived's may fire before its time.
const earlier = 5 * time.Millisecond
