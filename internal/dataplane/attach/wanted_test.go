package attach

import (
	"testing"
	"time"
)

// Devices that come a moment after others were looked for are found as soon as that may be done
// again, though nobody reports them once more.
func TestPutOff(t *testing.T) {
	a := &Devices{asked: Wanted{Everywhere: true}, looked: time.Now(), took: time.Second}
	if a.lookAgain() {
		t.Error("it was looked again at once")
	}
	if rest, ok := a.PutOff(); !ok || rest < time.Second || rest > lookShare*time.Second {
		t.Errorf("put off: %t, for %s, want for at most %d s", ok, rest, lookShare)
	}
	a.looked = time.Now().Add(-lookShare * time.Second)
	a.lookAgain()
	if _, ok := a.PutOff(); ok {
		t.Error("it is put off after it was done")
	}
}
