package activemq

func routeRules() []rule {
	const (
		inside  = "a matter of how ActiveMQ works inside"
		network = "there are no networks of brokers yet"
	)
	list := []rule{
		{on: "destinations", verdict: Mapped, key: "destinations"},
		{on: "destinations/queue", verdict: Mapped, key: "destinations", leave: leaveDestination},
		{on: "destinations/topic", verdict: Mapped, key: "destinations", leave: leaveDestination},
		{on: "destinations/tempQueue", verdict: NotNeeded, whole: true, words: "a temporary destination is made by its consumer"},
		{on: "destinations/tempTopic", verdict: NotNeeded, whole: true, words: "a temporary destination is made by its consumer"},
		{on: "compositeDestinations", verdict: NotSupported, whole: true, words: "write a name for each of them"},

		{on: "destinationInterceptors", verdict: Mapped, key: "virtualTopics", enter: enterInterceptors},
		{on: "virtualDestinationInterceptor", verdict: Mapped, key: "virtualTopics, compositeDestinations"},
		{on: "virtualDestinationInterceptor/virtualDestinations", verdict: Mapped, key: "virtualTopics, compositeDestinations"},
		{on: "virtualTopic", verdict: Mapped, key: "virtualTopics[]", leave: leaveVirtualTopic},
		{on: "virtualTopic@name", verdict: Mapped, key: "virtualTopics[].topic"},
		{on: "virtualTopic@prefix", verdict: Mapped, key: "virtualTopics[].prefix"},
		{on: "virtualTopic@postfix", verdict: Mapped, key: "virtualTopics[].postfix"},
		{on: "virtualTopic@selectorAware", verdict: Mapped, key: "virtualTopics[].selectorAware", usual: "false"},
		{on: "virtualTopic@dropOnResourceLimit", verdict: Mapped, key: "virtualTopics[].dropWhenFull", usual: "false"},
		{on: "virtualTopic@setOriginalDestination", verdict: Mapped, key: "virtualTopics[].hideTopic", usual: "true"},
		{on: "virtualTopic@local", verdict: NotNeeded, usual: "false", words: network},
		{on: "virtualTopic@concurrentSend", verdict: NotNeeded, words: "all copies are stored in one go"},
		{on: "virtualTopic@transactedSend", verdict: NotNeeded, words: "all copies are stored in one go, or none"},
		{on: "virtualSelectorCacheBrokerPlugin", verdict: Mapped, key: "virtualTopics[].rememberSelectors", enter: func(im *importer, _ *node, _ *Item) { im.routes.remember = true }},
		{on: "virtualSelectorCacheBrokerPlugin@persistFile", verdict: NotNeeded, words: "the selectors are in the journal"},
		{on: "virtualSelectorCacheBrokerPlugin@persistInterval", verdict: NotNeeded, words: "the selectors are in the journal"},
		{on: "virtualSelectorCacheBrokerPlugin@ignoreWildcardSelectors", verdict: NotSupported, harmless: true, usual: "false", words: "a consumer without a selector, or with one that takes everything, counts like the others"},
		{on: "virtualSelectorCacheBrokerPlugin@singleSelectorPerDestination", verdict: NotSupported, harmless: true, usual: "false", words: "up to 100 selectors of a queue are remembered"},

		{on: "forwardTo", verdict: Mapped, key: "compositeDestinations[].forwardTo"},
		{on: "forwardTo/queue", verdict: Mapped, key: "compositeDestinations[].forwardTo[]"},
		{on: "forwardTo/topic", verdict: Mapped, key: "compositeDestinations[].forwardTo[]"},
		{on: "filteredDestination", verdict: Mapped, key: "compositeDestinations[].forwardTo[]"},
		{on: "filteredDestination@queue", verdict: Mapped, key: "compositeDestinations[].forwardTo[].destination"},
		{on: "filteredDestination@topic", verdict: Mapped, key: "compositeDestinations[].forwardTo[].destination"},
		{on: "filteredDestination@selector", verdict: Mapped, key: "compositeDestinations[].forwardTo[].selector"},
		{on: "filteredDestination@destination", verdict: NotSupported, words: "write it as queue or topic"},
		{on: "filteredDestination@filter", verdict: NotSupported, words: "a filter in Java does not run here; write a selector"},
		{on: "filteredDestination/destination", verdict: NotSupported, whole: true, words: "write it as the attribute queue or topic"},
		{on: "filteredDestination/filter", verdict: NotSupported, whole: true, words: "a filter in Java does not run here; write a selector"},

		{on: "mirroredQueue", verdict: Mapped, key: "mirroredQueues", leave: leaveMirror},
		{on: "mirroredQueue@prefix", verdict: Mapped, key: "mirroredQueues[].prefix"},
		{on: "mirroredQueue@postfix", verdict: Mapped, key: "mirroredQueues[].postfix"},
		{on: "mirroredQueue@copyMessage", verdict: NotNeeded, words: inside},
		{on: "mirroredQueue@brokerService", verdict: NotNeeded, words: inside},
	}
	for _, kind := range []string{"compositeQueue", "compositeTopic"} {
		list = append(list,
			rule{on: kind, verdict: Mapped, key: "compositeDestinations[]", leave: leaveComposite},
			rule{on: kind + "@name", verdict: Mapped, key: "compositeDestinations[].destination"},
			rule{on: kind + "@forwardOnly", verdict: Mapped, key: "compositeDestinations[].alsoHere", usual: "true"},
			rule{on: kind + "@sendWhenNotMatched", verdict: Mapped, key: "compositeDestinations[].whenNotMatched", usual: "false"},
			rule{on: kind + "@copyMessage", verdict: NotNeeded, words: inside},
			rule{on: kind + "@concurrentSend", verdict: NotNeeded, words: "all copies are stored in one go"})
	}
	for _, place := range []string{"destinations/queue", "destinations/topic", "forwardTo/queue", "forwardTo/topic"} {
		key := "destinations"
		if place[0] == 'f' {
			key = "compositeDestinations[].forwardTo[].destination"
		}
		list = append(list,
			rule{on: place + "@physicalName", verdict: Mapped, key: key},
			rule{on: place + "@name", verdict: Mapped, key: key},
			rule{on: place + "@DLQ", verdict: NotNeeded, words: inside},
			rule{on: place + "@properties", verdict: NotNeeded, words: "options are a client's"})
	}
	return list
}
