package cache

import (
	"flag"
	"math/rand/v2"
	"strings"
	"testing"
)

var (
	modelSeed      = flag.Uint64("seed", 0, "of the model's first sequence; 0: any")
	modelSequences = flag.Int("sequences", 1000, "how many sequences the model runs")
)

// TestModel plays random sequences of requests, looks, password changes, outages,
// flushes and time steps against servers with a known truth, and holds each answer
// against what they really said. What it finds it repeats with -seed and -sequences 1.
func TestModel(t *testing.T) {
	seed := *modelSeed
	if seed == 0 {
		seed = uint64(rand.Uint32())
	}
	t.Logf("seed %d, %d sequences", seed, *modelSequences)
	for i := range uint64(*modelSequences) {
		s := newSequence(seed + i)
		if broken := play(t, s, nil); broken != "" {
			s = shrink(t, s)
			var trace strings.Builder
			for range 10 { // what is asked at the same time comes in any order
				trace.Reset()
				if again := play(t, s, &trace); again != "" {
					broken = again
					break
				}
			}
			t.Fatalf("sequence %d, -seed %d -sequences 1: %s\n%+v\n%s", i+1, seed+i, broken, s.cfg, &trace)
		}
	}
}

// shrink leaves out what the failure does not need, in ever smaller pieces.
func shrink(t *testing.T, s sequence) sequence {
	for size := len(s.steps) / 2; size > 0; {
		smaller := false
		for from := 0; from+size <= len(s.steps); {
			less := s
			less.steps = append(append([]step(nil), s.steps[:from]...), s.steps[from+size:]...)
			if play(t, less, nil) != "" {
				s, smaller = less, true
			} else {
				from += size
			}
		}
		if !smaller || size > 1 {
			size /= 2
		}
	}
	return s
}
