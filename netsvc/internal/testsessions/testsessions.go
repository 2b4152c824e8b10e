// Package testsessions opens the sessions of a benchmark in a process of their own, the test
// binary run again: so neither their memory nor their descriptors count as the service's.
package testsessions

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/pns4ones/pns4ones/netsvc/wire"
)

// variable tells the process that it has sessions to open, and which.
const variable = "PNS4ONES_TEST_SESSIONS"

// Main is what TestMain of a package calls whose benchmarks call Start.
func Main(m *testing.M) {
	spec, given := os.LookupEnv(variable)
	if !given {
		os.Exit(m.Run())
	}
	if err := run(spec); err != nil {
		fmt.Fprintln(os.Stderr, "sessions:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Start starts a process that opens count sessions of an app, for the users "0", "1" and so
// on of the infobase "ib". They say of themselves what newer add-ins say, and ask to be
// remembered (protocol.md section 4.4), or nothing, as the released ones do. It does not wait
// until they are registered. They end with b.
func Start(b *testing.B, addr, appID, clientKey string, count int, attributes bool) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(),
		fmt.Sprintf("%s=%s %s %s %d %t", variable, addr, appID, clientKey, count, attributes))
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
}

// run opens the sessions, reads and forgets what they get, and ends with stdin.
func run(spec string) error {
	var addr, appID, clientKey string
	var count int
	var attributes bool
	if _, err := fmt.Sscan(spec, &addr, &appID, &clientKey, &count, &attributes); err != nil {
		return err
	}
	key, err := wire.ParseClientKey(clientKey)
	if err != nil {
		return err
	}
	var opening errgroup.Group
	opening.SetLimit(2)
	for user := range count {
		var said []wire.Attribute
		if attributes {
			said = attributesOf(user)
		}
		opening.Go(func() error { return open(addr, key, appID, strconv.Itoa(user), said) })
	}
	if err := opening.Wait(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// attributesOf is what the session of a user says of itself.
func attributesOf(user int) []wire.Attribute {
	said := wire.Attributes{
		Session: wire.NewSessionID(), Turn: 1,
		Groups: []string{"group-" + strconv.Itoa(user%20)},
		User:   "Иванов Иван Иванович " + strconv.Itoa(user),
		Ib:     "Управление торговлей",
		Host:   "ws-" + strconv.Itoa(user),
		Agent:  "pns4ones-addin/2.0.0 windows-x86_64",
	}
	return said.List()
}

// open opens a session, which ends with the process.
func open(addr string, key *wire.ClientKey, appID, user string, said []wire.Attribute) error {
	packet, err := wire.AppendRegistration(nil, wire.Registration{AppID: appID, IbID: "ib", UserID: user}, key, said...)
	if err != nil {
		return err
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	if _, err := conn.Write(packet); err != nil {
		return err
	}
	go func() {
		buffer := make([]byte, 4096) // io.Copy would take eight times as much for each
		for err := error(nil); err == nil; {
			_, err = conn.Read(buffer)
		}
	}()
	return nil
}
