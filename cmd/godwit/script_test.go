package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/godwitmq/godwit/codec/stomp"
)

// patience is how long a script waits for what must come.
const patience = 20 * time.Second

// stompKey finds a script's STOMP clients.
type stompKey struct{}

type stompClient struct {
	conn   net.Conn
	frames *stomp.Reader
}

// stompCommand is a STOMP client of the port $STOMP. It does not react to anything by itself:
//
//	stomp NAME open [USER PASSWORD]    connects; ! wants it to be refused
//	stomp NAME send DESTINATION TEXT   sends a persistent message and waits for its receipt; ! for an ERROR
//	stomp NAME durable TOPIC NAME      subscribes to a topic durably and ends the subscription's only consumer again
//	stomp NAME error REGEXP            waits for an ERROR frame
//	stomp NAME gone                    waits until the broker has ended the connection
func stompCommand(ts *testscript.TestScript, neg bool, args []string) {
	clients := ts.Value(stompKey{}).(map[string]*stompClient)
	if len(args) < 2 {
		ts.Fatalf("usage: stomp NAME open|send|durable|error|gone ...")
	}
	c := clients[args[0]]
	if c == nil {
		conn, err := net.Dial("tcp", "127.0.0.1:"+ts.Getenv("STOMP"))
		ts.Check(err)
		ts.Defer(func() { conn.Close() })
		ts.Check(conn.SetDeadline(time.Now().Add(patience)))
		c = &stompClient{conn: conn, frames: stomp.NewReader(conn, stomp.Options{})}
		clients[args[0]] = c
	}
	write := func(frame string) {
		_, err := io.WriteString(c.conn, frame+"\x00")
		ts.Check(err)
	}
	expect := func(command string) string {
		f, err := c.frames.Next()
		ts.Check(err)
		text := f.Headers.Value("message")
		if f.Command != command {
			ts.Fatalf("stomp %s: got %s %s, want %s", args[0], f.Command, text, command)
		}
		return text
	}
	switch verb := args[1]; {
	case verb == "open" && (len(args) == 2 || len(args) == 4):
		login := ""
		if len(args) == 4 {
			login = "login:" + args[2] + "\npasscode:" + args[3] + "\n"
		}
		write("CONNECT\naccept-version:1.2\n" + login + "\n")
		if neg {
			expect(stomp.ErrorFrame)
			return
		}
		expect(stomp.Connected)
	case verb == "send" && len(args) == 4:
		write("SEND\ndestination:" + args[2] + "\npersistent:true\nreceipt:r\n\n" + args[3])
		if neg {
			expect(stomp.ErrorFrame)
			return
		}
		expect("RECEIPT")
	case verb == "durable" && len(args) == 4:
		write("SUBSCRIBE\nid:1\nack:client\ndestination:" + args[2] + "\nsubscription-type:shared-durable\ndurable-subscription-name:" + args[3] + "\nreceipt:r\n\n")
		expect("RECEIPT")
		write("UNSUBSCRIBE\nid:1\nreceipt:r\n\n")
		expect("RECEIPT")
	case verb == "error" && len(args) == 3:
		if text := expect(stomp.ErrorFrame); !regexp.MustCompile(args[2]).MatchString(text) {
			ts.Fatalf("stomp %s: the ERROR says %q, want %q", args[0], text, args[2])
		}
	case verb == "gone" && len(args) == 2:
		for err := error(nil); err == nil; {
			if _, err = c.frames.Next(); errors.Is(err, os.ErrDeadlineExceeded) {
				ts.Fatalf("stomp %s: the connection is still open", args[0])
			}
		}
	default:
		ts.Fatalf("stomp: cannot %q", args[1:])
	}
}

// hup sends SIGHUP to the newest command in the background, a broker with the API of GODWIT_API, and waits until that has read everything again,
// or, if its metrics may not be read, for so long that it surely has begun to: hup [USER PASSWORD].
func hup(ts *testscript.TestScript, neg bool, args []string) {
	reloads := func() string {
		r, err := http.NewRequest(http.MethodGet, ts.Getenv("GODWIT_API")+"/metrics", nil)
		ts.Check(err)
		if len(args) == 2 {
			r.SetBasicAuth(args[0], args[1])
		}
		response, err := http.DefaultClient.Do(r)
		ts.Check(err)
		defer response.Body.Close()
		all, err := io.ReadAll(response.Body)
		ts.Check(err)
		return strings.Join(regexp.MustCompile(`(?m)^godwit_reloads_total.*$`).FindAllString(string(all), -1), "\n")
	}
	before := reloads()
	commands := ts.BackgroundCmds()
	ts.Check(commands[len(commands)-1].Process.Signal(syscall.SIGHUP))
	if before == "" {
		time.Sleep(time.Second)
	}
	for deadline := time.Now().Add(patience); before != "" && reloads() == before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			ts.Fatalf("the broker has not read its configuration again after %v", patience)
		}
	}
}

// refused waits until nobody listens on a port any more: refused PORT.
func refused(ts *testscript.TestScript, neg bool, args []string) {
	deadline := time.After(patience)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := net.Dial("tcp", "127.0.0.1:"+args[0])
		if err != nil {
			return
		}
		conn.Close()
		select {
		case <-deadline:
			ts.Fatalf("port %s still accepts connections", args[0])
		case <-tick.C:
		}
	}
}

// spoil changes one byte of a text wherever it is in the files of a folder: spoil FOLDER TEXT.
func spoil(ts *testscript.TestScript, neg bool, args []string) {
	found := 0
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(data, []byte(args[1])) {
			return err
		}
		found++
		return os.WriteFile(path, bytes.ReplaceAll(data, []byte(args[1]), []byte(strings.ToUpper(args[1][:1])+args[1][1:])), 0o600)
	}))
	if found == 0 {
		ts.Fatalf("%q is in no file of %s", args[1], args[0])
	}
}
