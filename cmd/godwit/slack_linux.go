package main

import "os"

// easeTimers lets the system wake this process's threads a little late when they only wait for a time. Go's scheduler looks after
// threads that are in a system call every 20 microseconds, and one is nearly always in fdatasync: with the usual slack of 50 microseconds that takes a
// fifth of the broker's processor time. Nothing in the broker needs a timer more exact than a millisecond. Threads made later inherit it.
// It needs CAP_SYS_NICE (timerslack_ns in proc(5)); without it a service manager can give the same (systemd: TimerSlackNSec=1ms),
// and where neither is to be had it is only a matter of speed.
func easeTimers() {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	const slack = "1000000" // nanoseconds
	for _, t := range threads {
		if f, err := os.OpenFile("/proc/"+t.Name()+"/timerslack_ns", os.O_WRONLY, 0); err == nil {
			_, _ = f.WriteString(slack)
			f.Close()
		}
	}
}
