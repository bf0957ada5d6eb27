package imap

import "slices"

// srvOrder returns the targets, sorted by priority, in the order in which one login
// is to try them: those of one priority are drawn by weight (RFC 2782, p. 3). intN
// is rand.IntN.
func srvOrder(targets []srvTarget, intN func(int) int) []srvTarget {
	out := slices.Clone(targets)
	slices.SortStableFunc(out, func(a, b srvTarget) int { return int(a.priority) - int(b.priority) })
	for start := 0; start < len(out); {
		end := start + 1
		for end < len(out) && out[end].priority == out[start].priority {
			end++
		}
		drawByWeight(out[start:end], intN)
		start = end
	}
	return out
}

// drawByWeight orders the targets of one priority. The number drawn may be 0, which
// gives those of weight 0, put first, their "very small chance of being selected".
func drawByWeight(left []srvTarget, intN func(int) int) {
	// Shuffled, so that those of equal weight, 0 above all, share the load.
	for i := len(left) - 1; i > 0; i-- {
		j := intN(i + 1)
		left[i], left[j] = left[j], left[i]
	}
	slices.SortStableFunc(left, func(a, b srvTarget) int { return min(int(a.weight), 1) - min(int(b.weight), 1) })
	sum := 0
	for _, t := range left {
		sum += int(t.weight)
	}
	for ; len(left) > 1; left = left[1:] {
		drawn, running := intN(sum+1), 0
		for i, t := range left {
			running += int(t.weight)
			if running >= drawn {
				copy(left[1:i+1], left[:i]) // those of weight 0 stay first
				left[0] = t
				sum -= int(t.weight)
				break
			}
		}
	}
}
