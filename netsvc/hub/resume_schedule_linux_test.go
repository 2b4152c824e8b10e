package hub_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
)

// The schedules of the model that the rules of protocol.md section 4.4 were searched with: what happens to one
// service, one add-in, somebody who plays packets again, and the network between them. They are made here as the model
// makes them, step by step, so that a seed means the same in both.

// schedule is what happens in a world of that size. An op that does not apply does nothing, so any part of a schedule
// is one too.
type schedule struct {
	config modelConfig
	ops    []op
}

// modelConfig is the size of a world, in bytes and ticks of the model. noBound is none.
type modelConfig struct {
	sendBuffer, receiveBuffer, largest int
	peerTimeout, window, writeTimeout  int
	queueBytes, resumeBytes            int
}

const noBound = 1_000_000_000

type op struct {
	name string
	x, y int
}

func (o *op) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&o.name, &o.x, &o.y})
}

func (c *modelConfig) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{
		&c.sendBuffer, &c.receiveBuffer, &c.largest, &c.peerTimeout, &c.window, &c.writeTimeout, &c.queueBytes, &c.resumeBytes,
	})
}

// modelRandom is the model's generator of random numbers.
type modelRandom uint32

func (r *modelRandom) next() int {
	*r += 0x6D2B79F5
	a := uint32(*r)
	t := (a ^ a>>15) * (1 | a)
	t = (t + (t^t>>7)*(61|t)) ^ t
	return int(t ^ t>>14)
}

type weight struct {
	name string
	w    float64
}

var (
	commonOps = []weight{
		{"post", 16}, {"connect", 8}, {"sread", 8}, {"write", 9}, {"deliver", 9}, {"read", 9}, {"notice", 3}, {"flow", 4}, {"tick", 5},
	}
	faultOps = []weight{
		{"sleep", 2}, {"stall", 4}, {"stall2", 3}, {"abandon", 4}, {"rst", 2}, {"rereg", 3}, {"bye", 1}, {"restart", 0.5}, {"refuse", 3},
		{"replay", 4}, {"evilend", 2}, {"kill", 1}, {"start", 3}, {"freeze", 2}, {"thaw", 4}, {"kick", 0.6}, {"evict", 0.6}, {"rotate", 1},
		{"grace", 0.7}, {"newkey", 3},
	}
)

// modelSchedule makes the schedule of a seed, of 20 to 19 + steps ops.
func modelSchedule(seed uint32, steps int) schedule {
	random := modelRandom(seed)
	weights := append([]weight(nil), commonOps...)
	set := func(name string, w float64) {
		for i := range weights {
			if weights[i].name == name {
				weights[i].w = w
				return
			}
		}
		weights = append(weights, weight{name, w})
	}
	has := func(name string) bool {
		for _, w := range weights {
			if w.name == name {
				return true
			}
		}
		return false
	}
	for _, f := range faultOps {
		if random.next()%100 < 45 {
			set(f.name, f.w*float64(1+random.next()%3))
		}
	}
	for _, needs := range [][2]string{{"kill", "start"}, {"freeze", "thaw"}, {"rotate", "newkey"}} {
		if has(needs[0]) {
			set(needs[1], map[string]float64{"start": 3, "thaw": 4, "newkey": 3}[needs[1]])
		}
	}
	sums, sum := make([]float64, len(weights)), 0.0
	for i, w := range weights {
		sum += w.w
		sums[i] = sum
	}
	big := random.next()%2 == 1
	var c modelConfig
	c.sendBuffer, c.receiveBuffer, c.largest = 2+random.next()%10, 2+random.next()%14, 1+random.next()%6
	c.peerTimeout, c.window, c.writeTimeout = 4+random.next()%8, 3+random.next()%8, 3+random.next()%4
	c.queueBytes, c.resumeBytes = noBound, noBound
	if !big {
		c.queueBytes = 6 + random.next()%20
	}
	if random.next()%2 == 0 {
		c.resumeBytes = 4 + random.next()%24
	}
	c.sendBuffer = min(c.sendBuffer, c.resumeBytes)
	ops := make([]op, 20+random.next()%steps)
	for i := range ops {
		at, j := float64(random.next())/(math.MaxUint32+1)*sum, 0
		for sums[j] < at {
			j++
		}
		ops[i] = op{weights[j].name, random.next() & 0xffff, random.next() & 0xffff}
	}
	return schedule{c, ops}
}

// TestSchedulesAreThoseOfTheModel compares some with what the model's own program made.
func TestSchedulesAreThoseOfTheModel(t *testing.T) {
	t.Parallel()
	var want []struct {
		Seed        uint32
		Config      modelConfig `json:"cfg"`
		N           int
		Sum         string
		First, Last op
	}
	text, err := os.ReadFile("testdata/resume/schedules.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	for _, w := range want {
		s := modelSchedule(w.Seed, 120)
		var lines []string
		for _, o := range s.ops {
			lines = append(lines, fmt.Sprint(o.name, " ", o.x, " ", o.y))
		}
		sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
		if s.config != w.Config || len(s.ops) != w.N || hex.EncodeToString(sum[:8]) != w.Sum {
			t.Errorf("seed %d: %+v, %d ops from %v to %v, want %+v, %d from %v to %v", w.Seed, s.config, len(s.ops), s.ops[0], s.ops[len(s.ops)-1],
				w.Config, w.N, w.First, w.Last)
		}
	}
}

// trace is a schedule that breaks the property named, of a service in which a rule is broken: «letter» means the
// rules as they were before this kind of trace was found.
type trace struct {
	Property string `json:"prop"`
	Rule     string
	Seed     uint32
	Config   modelConfig `json:"cfg"`
	Ops      []op
}

// traces are those that the model has shrunk.
func traces(t *testing.T) (all []trace) {
	t.Helper()
	f, err := os.Open("testdata/resume/traces.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var one trace
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		all = append(all, one)
	}
	return all
}
