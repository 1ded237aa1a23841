// Package agent is what a node does for the control plane: it makes, runs, changes and ends the instances that are to be on it. Each instance is a process of
// its own (godwit serve), which goes on when the agent ends, and is found again by the next one.
//
// # What is to be done
//
// A [Plane] gives [Orders]: all that is to be done on the node, as a state of the control plane has it. They follow from that state alone, so the newest ones count and none has to be
// kept. The agent has a goroutine for each instance (instance.go), which compares the newest orders with what there is, does the next thing, and looks again; so what was lost, came twice, or was cut off by a
// crash needs no code of its own. What is on the disk and not in the orders is ended and put aside.
//
// # Folders
//
//	<data>/instances/<broker id>-<number>/
//	    single.yaml, pair.yaml   what it is started with: alone, or as one of several. A conversion has both
//	    users                    the broker's users, and the agent's own
//	    server.pem, node.pem     certificates for clients and for the other instances, with their keys, which are made here and never leave
//	    note.json, pid           what is in force, and the process
//	    data/, log/              the instance's own data, and what it says
//	<data>/left/                 data of instances that are not in the orders, though no step has said that it is to go: kept for 30 days
//	<data>/followed.json         the serial of the newest orders that were followed: older ones never are
//	<data>/ended.json            the highest generation that was ended of each instance
//
// The data folder itself knows to whom it belongs (docs/adr/0008), and godwit serve refuses to serve it with the wrong configuration. So after a conversion that was cut off, the
// agent asks the folder, not the control plane, which of the two configurations holds.
//
// # Generations
//
// A process of an older generation is ended before one of a newer starts, and that it was ended is durable before anything follows from it. See the package plane.
//
// # Limits
//
// A type's memory, connections and storage are limits of the instance's own configuration. A process writes to a file of its own that the agent keeps small by
// copying and cutting it: a line written in that moment may be lost, and while no agent runs, nothing is cut. Listeners are TLS alone: openwire and stomp; Godwit has no amqp, mqtt and wss yet. The API by which
// the agent speaks to an instance, and instances to each other, is plain HTTP with a password of its own: nodes on different machines need a network that they trust.
//
// # Other machines
//
// A [Remote] is the Plane of an agent on another machine; [Machines] answers it, beside the control plane (docs/nodes.md, docs/adr/0012). What a node may ask and report is decided by the key with which it has joined.
package agent
