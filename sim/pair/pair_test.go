package pair

import (
	"flag"
	"math/rand/v2"
	"testing"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "replay this seed alone")
	seedsFlag = flag.Int("seeds", 20, "how many seeds: half of them always the same, half of them new")
	fromFlag  = flag.Uint64("from", 1, "the first of those that are always the same")
	always    = flag.Bool("always", false, "all of them always the same")
)

// TestPair plays seeds. A failure names its seed: make sim SEED=n plays it again.
func TestPair(t *testing.T) {
	if *seedFlag != 0 {
		play(t, *seedFlag)
		return
	}
	restored := 0
	for i := range *seedsFlag {
		seed := *fromFlag + uint64(i)
		if !*always && i >= (*seedsFlag+1)/2 {
			seed = rand.Uint64N(1 << 40)
		}
		restored += play(t, seed).Restored
	}
	if *seedsFlag >= 10 && restored == 0 {
		t.Errorf("in %d seeds no instance has begun with a checkpoint", *seedsFlag)
	}
}

func play(t *testing.T, seed uint64) Result {
	t.Helper()
	result, err := Run(t, Config{Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("seed %d: %+v", seed, result)
	return result
}
