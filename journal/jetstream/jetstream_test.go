package jetstream

import (
	"testing"

	"github.com/godwitmq/godwit/journal"
	"github.com/godwitmq/godwit/journal/journaltest"
)

func TestContract(t *testing.T) {
	t.Run("one replica", func(t *testing.T) {
		node, err := StartNode(NodeOptions{Name: "single", Dir: t.TempDir(), Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		defer node.Close()
		contract(t, node)
	})
	t.Run("three replicas", func(t *testing.T) {
		contract(t, newCluster(t, nil).nodes[0])
	})
}

func contract(t *testing.T, node *Node) {
	journaltest.Run(t, journaltest.Engine{
		New: func(t *testing.T) func(journal.Notify) (journal.Log, error) {
			opt := options()
			return func(n journal.Notify) (journal.Log, error) { return Open(patience(t), node, opt, n) }
		},
		Large: 5*partSize + 100, // six nodes' worth of writing on one disk
	})
}
