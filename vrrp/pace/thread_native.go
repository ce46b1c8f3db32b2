//go:build (amd64 || arm64) && !race

package pace

// native says that there is a thread. The race detector's sync/atomic is no good on it.
const native = true

// clone makes a thread that runs run. Its error is a negative number of the kernel's.
//
//go:noescape
func clone(flags, stack uintptr) (tid int)

// kernel is a system call. Its result is what the kernel returns: errors are negative.
//
//go:noescape
func kernel(call, a, b, c, d, e, f uintptr) (result uintptr)
