// Package memory collects what is no longer used, when that may be done.
//
// Go's collector looks at the clock, which is an import; while a component is handed the arguments of a
// call, or is told that its answer has been read, it may not import anything: it would trap. So the
// collector does not run by itself, but at the beginning of a call.
package memory

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// Calls between two looks at how much there is.
	calls = 32
	// Bytes that may gather.
	most = 8 << 20
	// Half of what a plugin may use by default: beyond it the collector does run by itself, because
	// an instance that has no memory left is lost for certain.
	limit = 32 << 20
)

var (
	called    int
	collected uint64
	allocated = []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
)

func init() {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(limit)
}

// Collect is for the beginning of every function that the server calls often.
func Collect() {
	if called++; called%calls != 0 {
		return
	}
	metrics.Read(allocated)
	if now := allocated[0].Value.Uint64(); now-collected > most {
		runtime.GC()
		collected = now
	}
}
