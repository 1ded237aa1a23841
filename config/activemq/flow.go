package activemq

// pendingPolicy notes a cursor that keeps all in memory: then memoryLimit bounds how much waits.
func pendingPolicy(im *importer, n *node, _ *Item) {
	for _, c := range n.children {
		if c.name == "vmQueueCursor" && im.policy != nil {
			im.policy.inMemory = true
		}
	}
}

func memoryLimit(im *importer, value string, item *Item) {
	size, err := parseSize(value)
	if err != nil {
		item.fail("%v", err)
		return
	}
	im.policy.memory, im.policy.memoryItem = size, item
}

// flowControl notes a destination whose senders are never held up.
func flowControl(im *importer, value string, item *Item) {
	if yes, err := parseBool(value); err != nil {
		item.fail("%v", err)
	} else if !yes {
		im.policy.unheld = true
	}
}

// leaveMemory bounds a queue whose messages are all in memory in ActiveMQ.
func (im *importer) leaveMemory() {
	p := im.policy
	if p.memoryItem != nil && p.inMemory && !p.unheld && p.memory > 0 {
		p.memoryItem.Verdict, p.memoryItem.Words = Mapped, "vmQueueCursor keeps all in memory"
		im.put("policies[].flow.size", p.memory.String(), p.memoryItem)
	}
}

// failAtOnce is for sendFailIfNoSpace, which counts over sendFailIfNoSpaceAfterTimeout.
func failAtOnce(key string) func(*importer, string, *Item) {
	return func(im *importer, value string, item *Item) {
		yes, err := parseBool(value)
		switch {
		case err != nil:
			item.fail("%v", err)
		case yes:
			item.Words = ""
			im.put(key, "0s", item)
			im.failsAtOnce = true
		default:
			item.Verdict, item.Key, item.Words = NotSupported, "", "a send without room waits for flow.wait and then fails with the reason; it does not wait without end"
			item.Matters = false
		}
	}
}

// failAfter is for sendFailIfNoSpaceAfterTimeout, in milliseconds. 0 is off.
func failAfter(key string) func(*importer, string, *Item) {
	return func(im *importer, value string, item *Item) {
		text, err := asMillis(value)
		switch {
		case err != nil:
			item.fail("%v", err)
		case text == "0s":
			item.Verdict, item.Key, item.Words = Same, "", "ActiveMQ's default"
		case im.failsAtOnce:
			item.Verdict, item.Key, item.Words = NotNeeded, "", "sendFailIfNoSpace counts"
		default:
			item.Words = ""
			im.put(key, text, item)
		}
	}
}
