package main

import (
	"os"
	"runtime/debug"
	"strconv"
	"time"
)

// settleAfter is long enough for every program to be through its start on a machine of two cores.
const settleAfter = 30 * time.Second

// settleHeap lowers GOGC to K0S_SETTLED_GOGC once the program is through its start. A start allocates a lot and keeps
// little of it: collecting rarely makes it faster. Afterwards an idle program allocates little, and collecting more often
// costs next to nothing but keeps its heap close to what lives. The programs themselves can only have one value for both.
func settleHeap() {
	percent, err := strconv.Atoi(os.Getenv("K0S_SETTLED_GOGC"))
	if err != nil {
		return
	}
	time.AfterFunc(settleAfter, func() {
		debug.SetGCPercent(percent)
		debug.FreeOSMemory()
	})
}
