package sim

import (
	"flag"
	"math/rand/v2"
	"testing"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "replay this seed alone")
	seedsFlag = flag.Int("seeds", 20, "how many seeds: half of them always the same, half of them new")
	stepsFlag = flag.Int("steps", 3000, "steps of each run")
)

// TestSim plays seeds. A failure names its seed: make sim SEED=n plays it again.
func TestSim(t *testing.T) {
	if *seedFlag != 0 {
		play(t, *seedFlag)
		return
	}
	for i := range *seedsFlag {
		seed := uint64(i + 1)
		if i >= (*seedsFlag+1)/2 {
			seed = rand.Uint64N(1 << 40)
			t.Logf("new seed %d", seed)
		}
		play(t, seed)
	}
}

func play(t *testing.T, seed uint64) {
	t.Helper()
	result, err := Run(Config{Seed: seed, Steps: *stepsFlag})
	if err != nil {
		t.Fatal(err)
	}
	if testing.Verbose() {
		t.Logf("seed %d: %+v", seed, result)
	}
}

// TestRepeats shows that a seed says all there is.
func TestRepeats(t *testing.T) {
	for seed := range uint64(3) {
		a, err := Run(Config{Seed: seed, Steps: 1500})
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := Run(Config{Seed: seed, Steps: 1500}); a != b {
			t.Errorf("seed %d: got %+v, then %+v", seed, a, b)
		}
	}
}

// TestPlantedBugs shows that the simulation finds what it is there to find.
func TestPlantedBugs(t *testing.T) {
	const seeds = 20
	for bug := NoBug + 1; bug < bugs; bug++ {
		t.Run(bug.String(), func(t *testing.T) {
			for seed := range uint64(seeds) {
				if _, err := Run(Config{Seed: seed + 1, Steps: 3000, Bug: bug}); err != nil {
					if testing.Verbose() {
						t.Logf("%.300s", err)
					}
					return
				}
			}
			t.Errorf("%d seeds did not find it", seeds)
		})
	}
}
