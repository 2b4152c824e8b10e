package say_test

import (
	"testing"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/cluster/bucket"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/tui/say"
)

func TestNodesAreSaidInWords(t *testing.T) {
	t.Parallel()
	for _, lang := range []locale.Lang{locale.Russian, locale.English} {
		words := say.Words{Text: locale.New(lang)}
		for _, change := range []string{"joined", "live", "silent", "lost", "left"} {
			e := control.Event{Event: control.EventNode, Change: change, PeerNode: "web2"}
			if text := words.Event(e); text == "node" {
				t.Errorf("%s: there is no text for a node that is %s", lang, change)
			}
		}
		for _, state := range []string{control.NodeJoining, control.NodeLive, control.NodeCutOff, control.NodeRefused,
			control.NodeSilent, control.NodeLost, control.NodeHandingOver} {
			if text := words.NodeState(control.Node{State: state}); text == "" || lang == locale.Russian && text == state {
				t.Errorf("%s: %s is said as %q", lang, state, text)
			}
		}
		for _, code := range []bucket.Code{bucket.NotConnected, bucket.NoAnswer, bucket.NoRight, bucket.NoJetStream,
			bucket.Refused, bucket.OtherKey, bucket.Unreadable, bucket.Seeding, bucket.BucketGone, bucket.OtherCluster, bucket.OwnApps,
			bucket.ChangedAlone, bucket.NotStored, control.AppsRolledBack} {
			problem := control.Cluster{AppsProblem: "in English", AppsProblemCode: string(code)}
			if text := words.AppsProblem(&problem); text == "in English" {
				t.Errorf("%s: there is no text for %s", lang, code)
			}
		}
		tomorrow := control.Cluster{AppsProblem: "in \x1bEnglish", AppsProblemCode: "of_tomorrow"}
		if text := words.AppsProblem(&tomorrow); text != `in \x1bEnglish` {
			t.Errorf("%s: a code of tomorrow is said as %q", lang, text)
		}
		if text := words.NodeState(control.Node{State: "of tomorrow"}); text != "of tomorrow" {
			t.Errorf("%s: a state of tomorrow is said as %q", lang, text)
		}
	}
}
