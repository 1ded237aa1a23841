// Package plane is the control plane's state machine: which brokers there are to be, what they are to be like, which node runs which of their
// instances, and how far the work is that makes it so. Like the broker's core it knows no I/O, clock, goroutine or randomness: [State.Step] takes a
// command with the time, and gives the next state, the records to append to a log, and the effects to carry out. Ids and secrets come with the command.
// The same records, given to [Replay], make the same state. The package durable beside it keeps a State on a real log.
//
// # Goals, facts, operations
//
// A [Broker] has a [Goal], what it is to be: its mode, version, type, subnets. And it has facts: its instances with the nodes and addresses that they
// have, where its messages are ([LogKind]), which instance is active. A user's command changes the goal; what differs is an [Operation], a list of [Step]s that the
// planner (plan.go) makes of goal and facts: start an instance, stop one, convert the log, switch over. One step is current at a time. A reconciler carries it out
// and reports [StepDone] or [StepFailed]; a step done changes a fact. Behind the last step the planner looks again, so that an operation ends
// when nothing differs any more, whatever has happened in between. A step that fails again and again brings back the goal of before: rolling back is
// planning towards the old goal. What has no goal of before (a deletion, a repair) is tried for ever, less and less often, and the broker
// says so (CRITICAL_ACTION_REQUIRED).
//
// What can change while clients are served is no operation: users, security groups, configuration, logs, limits are part of the [Spec] of each
// instance, and an instance whose spec has a newer version takes it over as it runs.
//
// # Effects
//
// An [Effect] is what is to be done: the current step of an operation, or an instance to be kept running with its spec. Effects are no queue. They follow
// from the state alone: [State.Work] lists all of them, [Change.Effects] those that a command has made new. Whoever lost one, or was not there, asks
// for the list. So all of them are idempotent, and may come twice, late, or out of order.
//
// # Generations
//
// Each process of an instance has a generation, a number that is never used twice. An agent keeps, durably, the highest generation that it has ended of
// each instance, and starts none up to that: a late or repeated Start does nothing. A spec has a version beside it; an older one than that in force is
// ignored. A report about a generation that is not (or no longer) the instance's is refused ([Stale]), and tells the agent to look at
// [State.OnNode], the list of all that is to run on its node, and to end everything else (docs/adr/0009 has all rules for agents). The same it does before all else when it comes back. So a node that comes back with old state cannot act.
// Of two instances of a pair, it is still the messages' log alone that decides who is active; nothing here is part of that argument.
//
// # Files
//
// state.go has Step and what all commands share, table.go the tables, record.go the records and their replay; keys.go, nodes.go, groups.go, types.go, configurations.go, users.go
// and brokers.go have the commands of what they are named after; plan.go and place.go decide what is to be done and where, operation.go carries it forward, spec.go says it to agents; window.go
// has maintenance windows, audit.go who did what.
package plane
