package config

import "time"

// Flow is how much may be at a destination, and what becomes of what there is no room for.
type Flow struct {
	Messages int           `yaml:"messages" doc:"At how many messages, waiting or at consumers, a destination is full. A topic is as full as its fullest subscription. 0 is no limit."`
	Size     Size          `yaml:"size" doc:"At how many bytes of messages a destination is full. 0 is no limit: what does not fit into memory waits in the journal. (ActiveMQ: memoryLimit with the vmQueueCursor; with its usual cursor that limits no backlog.)"`
	Wait     time.Duration `yaml:"wait" doc:"How long a message waits for room, at the destination, in the journal or in memory, before its sender gets an error that says what is full and who fills it. Its connection does everything else meanwhile. 0s: it is refused at once. (ActiveMQ: 0s is sendFailIfNoSpace, another time sendFailIfNoSpaceAfterTimeout; its producerFlowControl waits without limit.)"`
}

func defaultFlow() Flow { return Flow{Wait: 30 * time.Second} }

func (k checker) flow(f Flow, key string) {
	k.check(f.Messages >= 0, key+"flow.messages", "%d is negative; expected 0 for no limit, or more", f.Messages)
	k.check(f.Size >= 0, key+"flow.size", "%d is negative; expected 0 for no limit, or more", f.Size)
	k.check(f.Wait >= 0, key+"flow.wait", "%v is negative; expected 0s or more", f.Wait)
	k.check(f.Wait == 0 || f.Wait >= time.Millisecond, key+"flow.wait", "%v is too short; expected 0s, or 1ms or more", f.Wait)
}
