package managed

import (
	"flag"
	"math/rand/v2"
	"testing"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "replay this seed alone")
	seedsFlag = flag.Int("seeds", 6, "how many seeds: half of them always the same, half of them new")
	fromFlag  = flag.Uint64("from", 1, "the first of those that are always the same")
	always    = flag.Bool("always", false, "all of them always the same")
)

// TestManaged plays seeds. A failure names its seed: make sim SEED=n plays it again.
func TestManaged(t *testing.T) {
	if *seedFlag != 0 {
		play(t, *seedFlag)
		return
	}
	for i := range *seedsFlag {
		seed := *fromFlag + uint64(i)
		if !*always && i >= (*seedsFlag+1)/2 {
			seed = rand.Uint64N(1 << 40)
		}
		play(t, seed)
	}
}

func play(t *testing.T, seed uint64) {
	t.Helper()
	result, err := Run(Config{Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("seed %d: %+v", seed, result)
}

// TestRepeats shows that a seed says all there is.
func TestRepeats(t *testing.T) {
	a, err := Run(Config{Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := Run(Config{Seed: 3}); a != b {
		t.Errorf("got %+v, then %+v", a, b)
	}
}
