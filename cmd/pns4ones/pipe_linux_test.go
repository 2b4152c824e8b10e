package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"testing"
)

// TestOutlivesTheReaderOfItsLog: pns4ones 2>&1 | reader, and the reader ends.
func TestOutlivesTheReaderOfItsLog(t *testing.T) {
	t.Parallel()
	i := install(t)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command(i.program)
	daemon.Env, daemon.Stdout, daemon.Stderr = i.env, write, write
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		daemon.Process.Kill()
		daemon.Wait()
	})
	write.Close()
	senders := regexp.MustCompile(`Senders: +(\S+)`)
	address, ready := "", false
	for lines := bufio.NewScanner(read); !ready && lines.Scan(); {
		if found := senders.FindStringSubmatch(lines.Text()); found != nil {
			address = found[1]
		}
		ready = regexp.MustCompile(`^There is no app yet`).MatchString(lines.Text())
	}
	read.Close()
	before, err := i.client.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 { // each is logged
		response, err := http.Get(fmt.Sprintf("http://%s/%d", address, n))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if _, err := i.client.CreateApp(context.Background(), fmt.Sprint("app ", n)); err != nil {
			t.Fatal(err)
		}
	}
	after, err := i.client.Status(context.Background())
	if err != nil || after.PID != before.PID || after.Apps != 3 {
		t.Errorf("it did not go on: %+v, %v", after, err)
	}
}
