package control

import (
	"errors"
	"net/http"
	"testing"

	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/message"
)

func TestTransactions(t *testing.T) {
	r := newRig(t, true)
	l, err := dial(t.Context(), r.server.options.Connect, broker.Connect{User: "bob", ClientID: "tm"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	ask := func(event func(ref broker.Ref) broker.Event) {
		t.Helper()
		ref := l.ref()
		if _, err := l.ask(ref, event(ref)); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"a", "b", "c"} {
		xid, tx := broker.XID{Format: 1, Global: name, Branch: "x"}, broker.DistributedTx(uint64(i))
		m := &message.Message{Destination: message.Destination{Kind: message.Queue, Name: "q"}, Persistent: true}
		m.Encode()
		ask(func(ref broker.Ref) broker.Event { return &broker.XABegin{Conn: l.id(), Ref: ref, Tx: tx, XID: xid} })
		ask(func(ref broker.Ref) broker.Event {
			return &broker.Send{Conn: l.id(), Ref: ref, Tx: tx, Message: m, MayCreate: true}
		})
		if name != "c" {
			ask(func(ref broker.Ref) broker.Event { return &broker.XAPrepare{Conn: l.id(), Ref: ref, XID: xid} })
		}
	}
	states := func(limit int) (got string) {
		t.Helper()
		v, err := r.Transactions(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range v.Transactions {
			got += x.XID + " " + x.State + ";"
			if x.State == "prepared" && (x.User != "bob" || x.ClientID != "tm" || x.Sent != 1 || x.Prepared == 0 || len(x.Destinations) != 1) {
				t.Errorf("got %+v", x)
			}
		}
		return got
	}
	for _, x := range []struct {
		xid    string
		commit bool
		status int // 0: fine
	}{
		{xid: "nonsense", status: http.StatusBadRequest},
		{xid: "1:aa:bb", status: http.StatusNotFound},
		{xid: "1:63:78", status: http.StatusConflict}, // not prepared
		{xid: "1:61:78", commit: true},
		{xid: "1:61:78", status: http.StatusConflict}, // settled
		{xid: "XID:[1,globalId=62,branchId=78]"},
	} {
		err := r.SettleTransaction(t.Context(), x.xid, x.commit)
		var refused *api.Error
		if errors.As(err, &refused) != (x.status != 0) || refused != nil && refused.Status != x.status {
			t.Errorf("settle %s: got %v, want status %d", x.xid, err, x.status)
		}
	}
	if got, want := states(0), "1:61:78 committed;1:62:78 rolled back;1:63:78 open;"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := states(1), "1:61:78 committed;"; got != want {
		t.Errorf("limited to 1: got %s, want %s", got, want)
	}
	d, err := r.Destination(t.Context(), message.Destination{Kind: message.Queue, Name: "q"})
	if err != nil || d.Size != 1 {
		t.Errorf("the queue has %d messages, %v; want that of the committed one", d.Size, err)
	}
}
