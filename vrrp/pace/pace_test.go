//go:build !race

package pace

import (
	"encoding/binary"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// receiver is a socket that is sent to, and the plan of sending to it.
func receiver(t *testing.T) (*net.UDPConn, Plan) {
	t.Helper()
	to, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { to.Close() })
	from, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(from) })
	address := make([]byte, unix.SizeofSockaddrInet4)
	binary.NativeEndian.PutUint16(address, unix.AF_INET)
	binary.BigEndian.PutUint16(address[2:], uint16(to.LocalAddr().(*net.UDPAddr).Port))
	copy(address[4:], []byte{127, 0, 0, 1})
	return to, Plan{
		Socket: from, Addresses: [][]byte{address}, Every: 10 * time.Millisecond, Limit: time.Hour, Last: time.Now(),
		Bursts: [][][]byte{{[]byte("a")}, {[]byte("b")}, {[]byte("c")}},
	}
}

func begun(t *testing.T, p Plan) *Beat {
	t.Helper()
	b, err := Start(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// want reads packets until these have come.
func want(t *testing.T, from *net.UDPConn, text string) {
	t.Helper()
	b := make([]byte, 64)
	for _, c := range text {
		if err := from.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := from.Read(b)
		if err != nil || string(b[:n]) != string(c) {
			t.Fatalf("got %q, %v; want %q", b[:n], err, c)
		}
	}
}

// until waits for a report.
func until(t *testing.T, b *Beat, what string, is func(Report) bool) Report {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		switch r := b.Report(); {
		case is(r):
			return r
		case time.Now().After(deadline):
			t.Fatalf("not within 30 s: %s; %+v", what, r)
		}
	}
}

// Packets are sent in turn until none is ready; then it ends by itself.
func TestBeat(t *testing.T) {
	to, plan := receiver(t)
	b := begun(t, plan)
	want(t, to, "a")
	until(t, b, "room for one", func(r Report) bool { return r.Room >= 1 })
	b.Extend([][][]byte{{[]byte("d")}})
	want(t, to, "bcd")
	r := until(t, b, "the end", func(r Report) bool { return r.Ended })
	if r.Sent != 4 || r.Failed != 0 || r.Room != 3 || r.Late != 0 || r.Last.Before(plan.Last.Add(4*plan.Every-time.Millisecond)) || r.Last.After(time.Now()) {
		t.Errorf("%+v", r)
	}
	if r := b.Stop(); !r.Ended || r.Sent != 4 {
		t.Errorf("after Stop: %+v", r)
	}
}

// After Stop nothing is sent.
func TestStop(t *testing.T) {
	to, plan := receiver(t)
	for range 200 {
		plan.Last, plan.Every = time.Now(), 50*time.Microsecond
		r := begun(t, plan).Stop()
		left := make([]byte, 64)
		for range r.Sent {
			if _, err := to.Read(left); err != nil {
				t.Fatal(err)
			}
		}
		if err := to.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := to.Read(left); err == nil {
			t.Fatalf("a packet came after Stop; %+v", r)
		}
		if err := to.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
}

// A thread that comes too late sends nothing.
func TestLate(t *testing.T) {
	to, plan := receiver(t)
	plan.Last, plan.Limit = time.Now().Add(-time.Minute), 30*time.Second
	b := begun(t, plan)
	r := until(t, b, "the end", func(r Report) bool { return r.Ended })
	if r.Sent+r.Failed != 0 || r.Late < time.Minute {
		t.Errorf("%+v", r)
	}
	b.Stop()
	if err := to.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := to.Read(make([]byte, 64)); err == nil {
		t.Error("it was sent")
	}
}

// A packet that cannot be sent is counted, with the kernel's reason, and tried again.
func TestFailure(t *testing.T) {
	_, plan := receiver(t)
	plan.Addresses[0][0] = unix.AF_INET6
	b := begun(t, plan)
	r := until(t, b, "a failure", func(r Report) bool { return r.Failed >= 2 })
	if r.Sent != 0 || r.Err != unix.EAFNOSUPPORT || r.Failing.Before(plan.Last) || time.Since(r.Failing) < plan.Every {
		t.Errorf("%+v", r)
	}
	b.Stop()
}

// The lease runs Limit from each packet, and no more once it is revoked.
func TestLease(t *testing.T) {
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
	table, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 16, MaxEntries: 4})
	if err != nil {
		t.Fatal(err)
	}
	value := func() (v [2]uint64) {
		if err := table.Lookup(uint32(2), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	lease, err := NewLease(table.FD(), 2, 77)
	if err != nil {
		t.Fatal(err)
	}
	_, plan := receiver(t)
	plan.Lease = lease
	before := bootTime()
	b := begun(t, plan)
	r := until(t, b, "three packets", func(r Report) bool { return r.Sent == 3 && r.Ended })
	v, least, most := value(), before+int64(plan.Limit), bootTime()+int64(plan.Limit)
	if v[1] != 77 || int64(v[0]) < least || int64(v[0]) > most || r.LeaseErr != nil {
		t.Errorf("value %v, want %d to %d and 77; %v", v, least, most, r.LeaseErr)
	}
	b.Stop()
	lease.Revoke()
	if err := table.Update(uint32(2), [2]uint64{}, 0); err != nil {
		t.Fatal(err)
	}
	plan.Last = time.Now()
	b = begun(t, plan)
	until(t, b, "three packets", func(r Report) bool { return r.Sent == 3 })
	b.Stop()
	if v := value(); v != [2]uint64{} {
		t.Errorf("a revoked lease was renewed: %v", v)
	}
}

// The thread goes on while Go's collector, its stacks and its scheduler are busy, and other
// beats come and go.
func TestBusyRuntime(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(1))
	_, plan := receiver(t)
	plan.Every = time.Millisecond
	plan.Bursts = make([][][]byte, 100_000)
	for i := range plan.Bursts {
		plan.Bursts[i] = [][]byte{[]byte("x")}
	}
	b := begun(t, plan)
	defer b.Stop()
	stop := make(chan struct{})
	defer close(stop)
	for range 4 {
		go func() {
			for {
				select {
				case <-stop:
					return
				default:
					runtime.KeepAlive(deep(1000))
					runtime.GC()
				}
			}
		}()
	}
	for range 200 {
		plan := plan
		plan.Bursts, plan.Last = plan.Bursts[:2], time.Now()
		begun(t, plan).Stop()
	}
	until(t, b, "a hundred packets", func(r Report) bool { return r.Sent >= 100 })
}

func deep(n int) int {
	if n == 0 {
		return 0
	}
	return deep(n-1) + len(strings.Repeat("x", n))
}

// The thread has a name that people find it by, and all signals blocked.
func TestThread(t *testing.T) {
	_, plan := receiver(t)
	begun(t, plan).Stop()
	dir := "/proc/self/task/" + strconv.Itoa(shared.thread.tid)
	name, err := os.ReadFile(dir + "/comm")
	if err != nil || string(name) != "weir-adverts\n" {
		t.Errorf("name %q, %v", name, err)
	}
	if attr, err := unix.SchedGetAttr(shared.thread.tid, 0); err != nil || attr.Policy != unix.SCHED_FIFO || attr.Priority != lowest {
		t.Errorf("scheduled by %+v, %v; want SCHED_FIFO", attr, err)
	}
	for _, priority := range []int{20, 99, 0} {
		SetPriority(priority)
		if attr, err := unix.SchedGetAttr(shared.thread.tid, 0); err != nil || attr.Policy != unix.SCHED_FIFO || int(attr.Priority) != max(priority, lowest) {
			t.Errorf("with priority %d it is scheduled by %+v, %v", priority, attr, err)
		}
	}
	status, err := os.ReadFile(dir + "/status")
	if err != nil || !strings.Contains(string(status), "SigBlk:\tfffffff") {
		t.Errorf("%v; signals are not blocked:\n%s", err, status)
	}
}
