package sim

import (
	"math/rand/v2"
	"testing"
)

// TestSimDelivery plays schedules, dead letters, retries and crashes.
func TestSimDelivery(t *testing.T) {
	var all DeliveryResult
	for i := range *seedsFlag {
		seed := uint64(i + 1)
		if i >= (*seedsFlag+1)/2 {
			seed = rand.Uint64N(1 << 40)
		}
		got, err := RunDelivery(Config{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		all.Settled += got.Settled
		all.Retried += got.Retried
		all.Undone += got.Undone
		all.Crashes += got.Crashes
		all.Trims += got.Trims
		if testing.Verbose() {
			t.Logf("seed %d: %+v", seed, got)
		}
	}
	if all.Settled == 0 || all.Retried == 0 || all.Undone == 0 || all.Crashes == 0 || all.Trims == 0 {
		t.Errorf("something never happened: %+v", all)
	}
}

// TestPlantedDeliveryBugs shows that it finds what it is there to find.
func TestPlantedDeliveryBugs(t *testing.T) {
	for _, bug := range []Bug{ForgetAck, ForgetJob, ForgetRetry} {
		found := false
		for seed := range uint64(20) {
			if _, err := RunDelivery(Config{Seed: seed + 1, Bug: bug}); err != nil {
				if found = true; testing.Verbose() {
					t.Logf("%d: %.300s", bug, err)
				}
				break
			}
		}
		if !found {
			t.Errorf("bug %d: 20 seeds did not find it", bug)
		}
	}
}
