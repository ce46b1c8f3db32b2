package lab

import "runtime"

// thread runs functions one after the other on one OS thread that lives until
// it is closed. Children are started from such a thread, because the kernel
// sends a child its parent death signal when the *thread* that forked it ends
// (prctl(2), PR_SET_PDEATHSIG), and Go ends threads as it likes.
type thread struct {
	jobs chan func()
}

func newThread() *thread {
	t := &thread{jobs: make(chan func())}
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for job := range t.jobs {
			job()
		}
	}()
	return t
}

// do runs fn on the thread and returns its error.
func (t *thread) do(fn func() error) error {
	result := make(chan error)
	t.jobs <- func() { result <- fn() }
	return <-result
}

func (t *thread) close() { close(t.jobs) }
