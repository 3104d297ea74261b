package main

import (
	"debug/elf"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// settleAfter is long enough for every program to be through its start on a machine of two cores.
const settleAfter = 30 * time.Second

// settleHeap lowers GOGC to K0S_SETTLED_GOGC, and forgets the pages that only the start needed, once the program is through its start. A start allocates a lot and keeps
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
		forgetStartPages()
	})
}

// forgetStartPages unmaps the pages of the executable's code and constants: a start reads a large part of its 137 MB
// once and never again, and mapped pages count as the process's memory and are reclaimed last. What is still in use
// comes back from the page cache as it is touched.
//
// Only what equals the file is unmapped: no writable mapping, and nothing of an executable with relocations, which the
// loader writes to before it is made read-only.
func forgetStartPages() {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil || isRelocated() {
		return
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(maps)) {
		line = strings.TrimSuffix(line, "\n")
		addresses, rest, _ := strings.Cut(line, " ")
		permissions, _, _ := strings.Cut(rest, " ")
		if !strings.HasSuffix(line, " "+self) || (permissions != "r-xp" && permissions != "r--p") {
			continue
		}
		first, last, _ := strings.Cut(addresses, "-")
		begin, err1 := strconv.ParseUint(first, 16, 64)
		end, err2 := strconv.ParseUint(last, 16, 64)
		if err1 == nil && err2 == nil {
			// A refusal only means that the pages stay.
			_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, uintptr(begin), uintptr(end-begin), syscall.MADV_DONTNEED)
		}
	}
}

// isRelocated tells whether parts of the executable that are read-only now may have been written.
func isRelocated() bool {
	file, err := elf.Open("/proc/self/exe")
	if err != nil {
		return true
	}
	defer file.Close()
	if file.Type != elf.ET_EXEC {
		return true
	}
	for _, segment := range file.Progs {
		if segment.Type == elf.PT_GNU_RELRO || segment.Type == elf.PT_DYNAMIC {
			return true
		}
	}
	return false
}
