package netsvc_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	natsserver "github.com/nats-io/nats-server/v2/server"

	"github.com/pns4ones/pns4ones/netsvc"
	"github.com/pns4ones/pns4ones/netsvc/cluster"
	"github.com/pns4ones/pns4ones/netsvc/cluster/seal"
	"github.com/pns4ones/pns4ones/netsvc/control"
	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// startNATS runs a NATS server in this process until the end of the test.
func startNATS(t *testing.T) (url string) {
	t.Helper()
	server, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true})
	if err != nil {
		t.Fatal(err)
	}
	go server.Start()
	t.Cleanup(func() { server.Shutdown(); server.WaitForShutdown() })
	if !server.ReadyForConnections(patience) {
		t.Fatal("the NATS server does not start")
	}
	return "nats://" + server.Addr().String()
}

// startNodes runs daemons that are one cluster and have one app in common.
func startNodes(t *testing.T, nats string, count int) (nodes []*daemon, shared control.App) {
	t.Helper()
	folder := t.TempDir()
	keyPath, appsPath := filepath.Join(folder, "cluster.key"), filepath.Join(folder, "apps")
	if _, err := seal.WriteNewKey(keyPath); err != nil {
		t.Fatal(err)
	}
	keys, err := seal.ReadKeys(keyPath)
	if err != nil {
		t.Fatal(err)
	}
	for i := range count {
		o := netsvc.Options{Config: settings(t.TempDir()), Version: "1.2.3", OldKeys: []string{appsPath},
			Cluster: &netsvc.ClusterOptions{NATS: cluster.NATS{Servers: []string{nats}}, Cluster: "main",
				Node: fmt.Sprintf("web%d", i+1), ID: cluster.NodeID{byte(i + 1)}, Keys: keys, Wait: patience}}
		d := start(t, o)
		nodes = append(nodes, d)
		if i > 0 {
			continue
		}
		shared = d.create("Склад")
		var exported bytes.Buffer
		if err := d.Export(context.Background(), &exported); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(appsPath, exported.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return nodes, shared
}

// post sends a message to all of the infobase and returns the headers of the answer.
func (d *daemon) post(token, topic string) http.Header {
	d.t.Helper()
	body := fmt.Sprintf(`{"Recipient":{"Type":"all","IbId":"ib"},"Message":{"Topic":%q}}`, topic)
	request, err := http.NewRequest("POST", d.url("/sendmessage"), strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		d.t.Fatal(err)
	}
	response.Body.Close()
	return response.Header
}

func TestThreeDaemonsAreOneService(t *testing.T) {
	t.Parallel()
	nodes, a := startNodes(t, startNATS(t), 3)
	tokens := make([]string, len(nodes))
	for i, d := range nodes {
		tokens[i], _ = d.authorise(a.ServerKey)
	}
	first, second := nodes[0].session(a, "ann"), nodes[2].session(a, "bob")
	for i, d := range nodes {
		eventually(t, "the nodes to know each other", func() bool {
			return d.post(tokens[i], "joining").Get("X-Delivered-Sessions") == "2"
		})
	}
	for i, d := range nodes {
		topic := fmt.Sprintf("from %d", i)
		if h := d.post(tokens[i], topic); h.Get("X-Delivered-Sessions") != "2" || h.Get("X-Unconfirmed-Nodes") != "" {
			t.Errorf("%s: %v", topic, h)
		}
	}
	for _, c := range []*wire.Client{first, second} {
		var got []string
		for len(got) < len(nodes) {
			if text := receive(t, c); text != `{"topic":"joining"}` {
				got = append(got, text)
			}
		}
		if want := `[{"topic":"from 0"} {"topic":"from 1"} {"topic":"from 2"}]`; fmt.Sprint(got) != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	// One that is stopped in order is not missed.
	if err := nodes[2].stop(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the goodbye", func() bool { return nodes[1].post(tokens[1], "left").Get("X-Delivered-Sessions") == "1" })
	if h := nodes[1].post(tokens[1], "left"); h.Get("X-Unconfirmed-Nodes") != "" {
		t.Errorf("after it: %v", h)
	}
}
