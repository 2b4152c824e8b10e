package hub_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// The schedules of the model that the rules of package moving were searched with: what happens to one session,
// to two nodes that hold sessions and one that only takes messages, and between them. They are made here as the model
// makes them, so that a seed means the same in both.

var (
	movingSchedules = flag.Int("hub.moving", 500, "how many schedules of the model TestTheModelsMoves plays")
	movingSeed      = flag.Int("hub.movingseed", 1, "seed of the first of them")
)

var (
	movingOps = []weight{
		{"post", 14}, {"connect", 8}, {"sread", 9}, {"write", 8}, {"read", 9}, {"msg", 16}, {"ctl", 10}, {"abandon", 5},
	}
	movingFaults = []weight{
		{"again", 3}, {"lose", 2}, {"timeout", 2}, {"replay", 3}, {"early", 3}, {"evilend", 2}, {"kill", 1}, {"start", 3},
	}
)

// movingSchedule makes the schedule of a seed, of 15 to 124 ops. Neither of these is in it: that a packet is played
// before the client's own, and that a node gives up a live one.
func movingSchedule(seed uint32) []op {
	random := modelRandom(seed)
	weights := append([]weight(nil), movingOps...)
	kills, starts := false, false
	for _, f := range movingFaults {
		if random.next()%100 >= 40 || f.name == "early" || f.name == "timeout" {
			continue
		}
		weights = append(weights, f)
		kills, starts = kills || f.name == "kill", starts || f.name == "start"
	}
	if kills && !starts {
		weights = append(weights, weight{"start", 3})
	}
	sums, sum := make([]float64, 0, len(weights)), 0.0
	for _, w := range weights {
		sum += w.w
		sums = append(sums, sum)
	}
	ops := make([]op, 15+random.next()%110)
	for i := range ops {
		at, j := float64(random.next())/(math.MaxUint32+1)*sum, 0
		for sums[j] < at {
			j++
		}
		ops[i] = op{weights[j].name, random.next() & 0xffff, random.next() & 0xffff}
	}
	return ops
}

// TestMovesAreThoseOfTheModel compares some schedules with what the model's own program made.
func TestMovesAreThoseOfTheModel(t *testing.T) {
	t.Parallel()
	var want []struct {
		Seed        uint32
		N           int
		Sum         string
		First, Last op
	}
	text, err := os.ReadFile("testdata/resume/moves.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		ops := movingSchedule(w.Seed)
		var lines []string
		for _, o := range ops {
			lines = append(lines, fmt.Sprint(o.name, " ", o.x, " ", o.y))
		}
		sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
		if len(ops) != w.N || hex.EncodeToString(sum[:8]) != w.Sum {
			t.Errorf("seed %d: %d ops from %v to %v, want %d from %v to %v", w.Seed, len(ops), ops[0], ops[len(ops)-1],
				w.N, w.First, w.Last)
		}
	}
}

// TestTheModelsMoves plays the schedules against the hub, package moving and the frames of package wire, with the
// properties that the model checks.
func TestTheModelsMoves(t *testing.T) {
	t.Parallel()
	playAll(t, 2, *movingSchedules)
}

// TestTheModelsMovesAmongThree: the third node has sessions, too, where the model has two such nodes.
func TestTheModelsMovesAmongThree(t *testing.T) {
	t.Parallel()
	playAll(t, 3, *movingSchedules/2)
}

func playAll(t *testing.T, holders, schedules int) {
	var next atomic.Int64
	next.Store(int64(*movingSeed))
	end := int64(*movingSeed + schedules)
	for range runtime.GOMAXPROCS(0) {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			for seed := next.Add(1) - 1; seed < end && !t.Failed(); seed = next.Add(1) - 1 {
				ops := movingSchedule(uint32(seed))
				if v := playMoves(t, holders, ops, nil); v != nil {
					reportMoves(t, seed, holders, ops, v)
				}
			}
		})
	}
}

// playMoves plays a schedule, and returns what does not hold.
func playMoves(t *testing.T, holders int, ops []op, log *[]string) (found *violation) {
	synctest.Test(t, func(t *testing.T) {
		w := newMovingWorld(t, holders, log)
		defer w.end()
		defer func() {
			switch v := recover().(type) {
			case nil:
			case violation:
				found = &v
			default:
				panic(v)
			}
		}()
		w.connect(0)
		w.sread(w.conns[0])
		for _, o := range ops {
			w.step(o)
		}
		w.quiesce()
	})
	return found
}

// reportMoves tells of a violation, with the shortest part of the schedule that has it still.
func reportMoves(t *testing.T, seed int64, holders int, ops []op, v *violation) {
	t.Helper()
	for size := (len(ops) + 1) / 2; size >= 1; size /= 2 {
		for i := 0; i < len(ops); {
			shorter := append(append([]op(nil), ops[:i]...), ops[min(i+size, len(ops)):]...)
			if again := playMoves(t, holders, shorter, nil); again != nil && again.property == v.property {
				ops, v = shorter, again
			} else {
				i += size
			}
		}
	}
	var log []string
	playMoves(t, holders, ops, &log)
	t.Errorf("seed %d, %d ops: %s: %s\n%s", seed, len(ops), v.property, v.text, strings.Join(log, "\n"))
}
