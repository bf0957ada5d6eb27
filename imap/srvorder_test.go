package imap

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func target(host string, priority, weight uint16) srvTarget {
	return srvTarget{URL{Scheme: "imaps", Host: host, Port: 993}, priority, weight}
}

// Who is asked first, in 100,000 logins: the shares of RFC 2782, for a number drawn
// from 0 to the sum of weights; 0 falls to any.
func TestSRVOrderShares(t *testing.T) {
	const logins = 100_000
	for _, tt := range []struct {
		name    string
		targets []srvTarget
		want    map[string]float64
	}{
		{"weights", []srvTarget{target("a", 5, 60), target("b", 5, 30), target("c", 5, 10)}, map[string]float64{"a": 60.33 / 101, "b": 30.33 / 101, "c": 10.33 / 101}},
		{"weight 0 beside others", []srvTarget{target("a", 5, 0), target("b", 5, 3)}, map[string]float64{"a": .25, "b": .75}},
		{"two of weight 0 beside others", []srvTarget{target("a", 5, 0), target("b", 5, 3), target("c", 5, 0)}, map[string]float64{"a": .125, "b": .75, "c": .125}},
		{"all of weight 0", []srvTarget{target("a", 5, 0), target("b", 5, 0), target("c", 5, 0)}, map[string]float64{"a": 1. / 3, "b": 1. / 3, "c": 1. / 3}},
		{"greatest weights", []srvTarget{target("a", 5, 65535), target("b", 5, 65535)}, map[string]float64{"a": .5, "b": .5}},
		{"priority before weight", []srvTarget{target("a", 6, 65535), target("b", 5, 0)}, map[string]float64{"b": 1}},
		{"one", []srvTarget{target("a", 0, 0)}, map[string]float64{"a": 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(1, 2))
			first := make(map[string]float64)
			for range logins {
				first[srvOrder(tt.targets, r.IntN)[0].url.Host]++
			}
			for _, target := range tt.targets {
				host := target.url.Host
				want := tt.want[host]
				if got := first[host] / logins; got < want-.01 || got > want+.01 {
					t.Errorf("%s is first in %.3f of the logins, want %.3f", host, got, want)
				}
			}
		})
	}
}

// Who is asked second and third: the draw is repeated among those that are left,
// those of weight 0 first again.
func TestSRVOrderRest(t *testing.T) {
	const logins = 100_000
	targets := []srvTarget{target("a", 5, 3), target("b", 5, 1), target("c", 5, 0)}
	want := map[string]float64{"abc": .3, "acb": .3, "bac": .15, "bca": .05, "cab": .14, "cba": .06}
	r := rand.New(rand.NewPCG(5, 6))
	orders := make(map[string]float64)
	for range logins {
		orders[hosts(srvOrder(targets, r.IntN))]++
	}
	for order, want := range want {
		if got := orders[order] / logins; got < want-.01 || got > want+.01 {
			t.Errorf("%s in %.3f of the logins, want %.3f", order, got, want)
		}
	}
}

func hosts(targets []srvTarget) (s string) {
	for _, t := range targets {
		s += t.url.Host
	}
	return s
}

// Each target is there once, by priority, whatever numbers are drawn; and the
// argument is left as it was.
func TestSRVOrderWhole(t *testing.T) {
	targets := []srvTarget{target("a", 1, 0), target("b", 1, 1), target("c", 1, 2), target("d", 2, 0), target("e", 2, 0), target("f", 3, 9)}
	before := slices.Clone(targets)
	r := rand.New(rand.NewPCG(3, 4))
	orders := make(map[string]bool)
	for range 1000 {
		out := srvOrder(targets, r.IntN)
		orders[hosts(out)] = true
		if !slices.IsSortedFunc(out, func(a, b srvTarget) int { return int(a.priority) - int(b.priority) }) {
			t.Fatalf("not by priority: %v", out)
		}
		for _, target := range targets {
			if !slices.Contains(out, target) || len(out) != len(targets) {
				t.Fatalf("got %v of %v", out, targets)
			}
		}
	}
	if len(orders) != 12 { // 3! orders of priority 1, 2! of 2
		t.Errorf("%d orders, want 12: %v", len(orders), orders)
	}
	if !slices.Equal(targets, before) {
		t.Errorf("changed to %v", targets)
	}
	if out := srvOrder(nil, r.IntN); len(out) != 0 {
		t.Errorf("nothing became %v", out)
	}
}
