package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os/exec"
	"strings"
)

var fireAddIn = flag.String("fire.addin", "",
	"host and library of the add-in for 1C: one session at each node of a cluster is its, for failures in which no node is killed")

// keepAddIn has a session of the add-in at a node until ctx ends. It connects again by itself.
func (t *traffic) keepAddIn(ctx context.Context, n *node, user string) {
	cmd := exec.CommandContext(ctx, strings.Fields(*fireAddIn)[0], strings.Fields(*fireAddIn)[1], "-")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.t.Error(err)
		return
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.t.Error(err)
		return
	}
	if err := cmd.Start(); err != nil {
		t.t.Error(err)
		return
	}
	defer cmd.Wait() // ctx ends it
	host, port, _ := net.SplitHostPort(n.service())
	fmt.Fprintf(in, "new\t1\nconnect\t1\t%s\n", strings.Join([]string{host, port, t.app.ID, infobase, user, "group0",
		t.app.ClientKey}, "\t"))
	session := &listener{user: user, group: "group0", counted: newCounted()}
	t.mu.Lock()
	t.sessions = append(t.sessions, session)
	t.mu.Unlock()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var event struct{ Event, Data string }
		if json.Unmarshal(lines.Bytes(), &event) != nil || event.Event != "message" {
			continue
		}
		session.mu.Lock()
		if err := session.enter(event.Data); err != nil && session.problem == nil {
			session.problem = err
		}
		session.mu.Unlock()
	}
}
