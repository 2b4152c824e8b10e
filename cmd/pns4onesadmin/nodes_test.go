package main

import (
	"strings"
	"testing"

	"github.com/pns4ones/pns4ones/config/locale"
	"github.com/pns4ones/pns4ones/netsvc/control"
)

// What the status says of the cluster's keys and of where its apps are kept has the names and
// numbers that are needed to go on.
func TestTheStatusOfAClusterSaysWhatIsToBeDone(t *testing.T) {
	t.Parallel()
	servers := []string{"nats://a", "nats://b", "nats://c"}
	for _, test := range []struct {
		cluster control.Cluster
		says    []string // in both languages
	}{
		{control.Cluster{Sealing: &control.Sealing{Key: "1234abcd", OtherNodes: []string{"web2", "web3"}}}, []string{"web2, web3"}},
		{control.Cluster{Sealing: &control.Sealing{Key: "1234abcd", OtherRecords: 17}}, []string{"1234abcd", "17"}},
		{control.Cluster{Sealing: &control.Sealing{Key: "1234abcd", Left: true, OtherRecords: 17}}, []string{"1234abcd"}},
		{control.Cluster{Sealing: &control.Sealing{Key: "1234abcd", Done: true}}, []string{"1234abcd"}},
		{control.Cluster{Sealing: &control.Sealing{Key: "1234abcd"}}, []string{"1234abcd"}},
		{control.Cluster{Name: "main", NATS: control.NATS{Servers: servers, Replicas: 1, ReplicasProblem: "no suitable peers"}},
			[]string{"no suitable peers", "nats stream edit KV_pns4ones_main --replicas 3"}},
		{control.Cluster{Name: "main", NATS: control.NATS{Servers: servers, Replicas: 1}},
			[]string{"nats stream edit KV_pns4ones_main --replicas 3"}},
	} {
		said := make(map[string]bool)
		for _, lang := range []locale.Lang{locale.Russian, locale.English} {
			p := &program{text: locale.New(lang)}
			var text strings.Builder
			for _, f := range p.clusterFields(&test.cluster)[1:] {
				text.WriteString(f.value + "\n")
			}
			for _, want := range test.says {
				if !strings.Contains(text.String(), want) {
					t.Errorf("%s: %+v: %q does not say %q", lang, test.cluster, text.String(), want)
				}
			}
			said[text.String()] = true
		}
		if len(said) != 2 && !strings.HasPrefix(test.says[0], "1234") {
			t.Errorf("%+v is said alike in both languages: %v", test.cluster, said)
		}
	}
	for _, silent := range []control.NATS{{Servers: servers, Replicas: 3}, {Servers: servers[:1], Replicas: 1}, {Servers: servers}} {
		p := &program{text: locale.New(locale.English)}
		if few := p.fewReplicas(&control.Cluster{NATS: silent}); few != "" {
			t.Errorf("%+v: %q", silent, few)
		}
	}
}
