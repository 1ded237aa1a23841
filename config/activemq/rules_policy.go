package activemq

func policyRules() []rule {
	const (
		paging = "what waits is kept in the journal and in memory as limits.cache says"
		window = "a client's own prefetch holds; set it in the client, or in the destination's name (?consumer.prefetchSize=)"
	)
	list := []rule{
		{on: "destinationPolicy", verdict: Mapped, key: "policies"},
		{on: "policyMap", verdict: Mapped, key: "policies"},
		{on: "policyEntries", verdict: Mapped, key: "policies"},
		{on: "policyMap@defaultEntry", verdict: NotSupported, words: "refers to a bean; write the entry where it is used"},
		{on: "policyMap/entries", verdict: Mapped, key: "policies"},
		{on: "policyMap/defaultEntry", verdict: Mapped, key: "policies", words: "entries for >, as far as there are none"},
		{on: "policyEntry", verdict: Mapped, key: "policies[]", enter: enterPolicy, leave: leavePolicy},
		{on: "policyEntry@queue", verdict: Mapped, key: "policies[].destination", attribute: policyFor("queue://")},
		{on: "policyEntry@topic", verdict: Mapped, key: "policies[].destination", attribute: policyFor("topic://")},
		{on: "policyEntry@tempQueue", verdict: Mapped, key: "policies[].destination", attribute: policyFor("temp-queue://")},
		{on: "policyEntry@tempTopic", verdict: Mapped, key: "policies[].destination", attribute: policyFor("temp-topic://")},
		{on: "policyEntry@destination", verdict: NotSupported, words: "write it as queue or topic"},
		{on: "policyEntry/destination", verdict: NotSupported, whole: true, words: "write it as the attribute queue or topic"},

		{on: "policyEntry@allConsumersExclusiveByDefault", verdict: Mapped, key: "policies[].consumers.exclusive", as: asYes},
		{on: "policyEntry@consumersBeforeDispatchStarts", verdict: Mapped, key: "policies[].consumers.startConsumers", as: asPositive},
		{on: "policyEntry@timeBeforeDispatchStarts", verdict: Mapped, key: "policies[].consumers.startAfter", as: asMillis},
		{on: "policyEntry@strictOrderDispatch", verdict: Mapped, key: "policies[].consumers.strictOrder", as: asYes},
		{on: "policyEntry@useConsumerPriority", verdict: Mapped, key: "policies[].consumers.priority", as: asYes},
		{on: "policyEntry@maxBrowsePageSize", verdict: Mapped, key: "policies[].consumers.maxBrowse", words: "without it a browser sees all, not ActiveMQ's 400", as: asPositive},
		{on: "policyEntry@alwaysRetroactive", verdict: Mapped, key: "policies[].subscribers.alwaysRetroactive", as: asYes},

		{on: "pendingMessageLimitStrategy", verdict: Mapped, key: "policies[].subscribers"},
		{on: "constantPendingMessageLimitStrategy", verdict: Mapped, key: "policies[].subscribers.pendingLimit"},
		{on: "constantPendingMessageLimitStrategy@limit", verdict: Mapped, key: "policies[].subscribers.pendingLimit", as: asLimit},
		{on: "prefetchRatePendingMessageLimitStrategy", verdict: Mapped, key: "policies[].subscribers.pendingRate", enter: fixed("subscribers.pendingRate", "0.5")},
		{on: "prefetchRatePendingMessageLimitStrategy@multiplier", verdict: Mapped, key: "policies[].subscribers.pendingRate", as: asDecimal},
		{on: "messageEvictionStrategy", verdict: Mapped, key: "policies[].subscribers.evict"},
		{on: "oldestMessageEvictionStrategy", verdict: Mapped, key: "policies[].subscribers.evict", enter: fixed("subscribers.evict", "oldest")},
		{on: "oldestMessageWithLowestPriorityEvictionStrategy", verdict: Mapped, key: "policies[].subscribers.evict", enter: fixed("subscribers.evict", "oldestWithLowestPriority")},
		{on: "uniquePropertyMessageEvictionStrategy", verdict: Mapped, key: "policies[].subscribers.evict", enter: fixed("subscribers.evict", "uniqueProperty")},
		{on: "uniquePropertyMessageEvictionStrategy@propertyName", verdict: Mapped, key: "policies[].subscribers.evictProperty", as: asText},

		{on: "slowConsumerStrategy", verdict: Mapped, key: "policies[].slowConsumers"},
		{on: "abortSlowConsumerStrategy", verdict: Mapped, key: "policies[].slowConsumers.maxTime", enter: fixed("slowConsumers.maxTime", "30s")},
		{on: "abortSlowConsumerStrategy@maxSlowDuration", verdict: Mapped, key: "policies[].slowConsumers.maxTime", as: asMillis},
		{on: "abortSlowAckConsumerStrategy", verdict: Mapped, key: "policies[].slowConsumers.maxSinceAck", enter: fixed("slowConsumers.maxSinceAck", "30s")},
		{on: "abortSlowAckConsumerStrategy@maxTimeSinceLastAck", verdict: Mapped, key: "policies[].slowConsumers.maxSinceAck", as: asMillis},
		{on: "abortSlowAckConsumerStrategy@maxSlowDuration", verdict: NotNeeded, words: "a consumer that has not acknowledged for slowConsumers.maxSinceAck is aborted without another wait"},
		{on: "abortSlowAckConsumerStrategy@ignoreIdleConsumers", verdict: Mapped, key: "policies[].slowConsumers.ignoreIdle", as: asYes},

		{on: "subscriptionRecoveryPolicy", verdict: Mapped, key: "policies[].subscribers.recovery"},
		{on: "lastImageSubscriptionRecoveryPolicy", verdict: Mapped, key: "policies[].subscribers.recovery", enter: fixed("subscribers.recovery", "lastImage")},
		{on: "fixedCountSubscriptionRecoveryPolicy", verdict: Mapped, key: "policies[].subscribers.recovery", enter: fixed("subscribers.recovery", "fixedCount")},
		{on: "fixedCountSubscriptionRecoveryPolicy@maximumSize", verdict: Mapped, key: "policies[].subscribers.recoveryCount", as: asNumber},
		{on: "fixedSizedSubscriptionRecoveryPolicy", verdict: Mapped, key: "policies[].subscribers.recovery", enter: fixed("subscribers.recovery", "fixedSized")},
		{on: "fixedSizedSubscriptionRecoveryPolicy@maximumSize", verdict: Mapped, key: "policies[].subscribers.recoverySize", as: asSize},
		{on: "fixedSizedSubscriptionRecoveryPolicy@useSharedBuffer", verdict: NotNeeded, words: "a matter of ActiveMQ's memory"},
		{on: "fixedSizedSubscriptionRecoveryPolicy@buffer", verdict: NotNeeded, words: "a matter of ActiveMQ's memory"},
		{on: "timedSubscriptionRecoveryPolicy", verdict: Mapped, key: "policies[].subscribers.recovery", enter: fixed("subscribers.recovery", "timed")},
		{on: "timedSubscriptionRecoveryPolicy@recoverDuration", verdict: Mapped, key: "policies[].subscribers.recoveryTime", as: asMillis},
		{on: "retainedMessageSubscriptionRecoveryPolicy", verdict: Mapped, key: "policies[].subscribers.recovery", enter: fixed("subscribers.recovery", "retained")},
		{on: "retainedMessageSubscriptionRecoveryPolicy/wrapped", verdict: NotSupported, whole: true, words: "retained messages and another recovery do not go together; choose one in policies[].subscribers.recovery"},
		{on: "retainedMessageSubscriptionRecoveryPolicy@wrapped", verdict: NotSupported, words: "retained messages and another recovery do not go together; choose one in policies[].subscribers.recovery"},
		{on: "noSubscriptionRecoveryPolicy", verdict: Same, enter: fixed("subscribers.recovery", "none")},
		{on: "queryBasedSubscriptionRecoveryPolicy", verdict: NotSupported, whole: true, words: "there is no recovery by a query; choose another in policies[].subscribers.recovery"},

		{on: "dispatchPolicy", verdict: NotNeeded, words: "see what is in it"},
		{on: "roundRobinDispatchPolicy", verdict: NotNeeded, words: "for topics, each subscriber gets every message in any case"},
		{on: "simpleDispatchPolicy", verdict: NotNeeded, words: "for topics, each subscriber gets every message in any case"},
		{on: "strictOrderDispatchPolicy", verdict: Same, words: "all subscribers see messages in one order"},
		{on: "priorityDispatchPolicy", verdict: NotSupported, harmless: true, words: "a topic's subscribers are not served in an order of their priorities"},
		{on: "priorityNetworkDispatchPolicy", verdict: NotNeeded, words: "there are no networks of brokers yet"},
		{on: "clientIdFilterDispatchPolicy", verdict: NotSupported, whole: true, words: "a topic's message goes to all its subscribers; use a selector"},

		{on: "policyEntry@prioritizedMessages", verdict: NotNeeded, words: "a queue's messages are delivered by priority in any case"},
		{on: "policyEntry@expireMessagesPeriod", verdict: NotNeeded, words: "messages expire when their time is over, by a clock, not by a scan"},
		{on: "policyEntry@networkBridgeFilterFactory", verdict: NotSupported, harmless: true, words: "there are no networks of brokers yet"},
		{on: "policyEntry/networkBridgeFilterFactory", verdict: NotSupported, harmless: true, whole: true, words: "there are no networks of brokers yet"},
		{on: "policyEntry@messageInterceptorStrategy", verdict: NotSupported, words: "headers are not changed by policy; expiry.* bounds how long messages live"},
		{on: "policyEntry/messageInterceptorStrategy", verdict: NotSupported, whole: true, words: "headers are not changed by policy; expiry.* bounds how long messages live"},
		{on: "policyEntry@persistJMSRedelivered", verdict: Same, usual: "true", words: "a redelivered message is marked so after a crash as well"},
		{on: "policyEntry@enableAudit", verdict: NotNeeded, words: "copies are recognised as limits.duplicateProducers says"},
		{on: "policyEntry@sendDuplicateFromStoreToDLQ", verdict: NotNeeded, words: "the journal gives no message back twice"},
		{on: "policyEntry@allowTempDestinationStealing", verdict: NotSupported, harmless: true, usual: "false", words: "a temporary destination is read by the connection that made it alone"},
		{on: "policyEntry@gcInactiveDestinations", verdict: Mapped, key: "policies[].inactive.remove", words: "if the broker has a schedulePeriodForDestinationPurge", as: asYes},
		{on: "policyEntry@inactiveTimeoutBeforeGC", verdict: Mapped, key: "policies[].inactive.after", as: asMillis},
		{on: "policyEntry@inactiveTimoutBeforeGC", verdict: Mapped, key: "policies[].inactive.after", as: asMillis},
		{on: "policyEntry@maxDestinations", verdict: Mapped, key: "policies[].maximumDestinations", as: asPositive},
		{on: "policyEntry@gcWithNetworkConsumers", verdict: NotNeeded, words: "there are no networks of brokers yet"},
	}
	for _, name := range []string{"queuePrefetch", "topicPrefetch", "durableTopicPrefetch", "queueBrowserPrefetch"} {
		usual := map[string]string{"queuePrefetch": "1000", "topicPrefetch": "32767", "durableTopicPrefetch": "100", "queueBrowserPrefetch": "500"}[name]
		list = append(list, rule{on: "policyEntry@" + name, verdict: NotSupported, harmless: true, usual: usual, words: window})
	}
	for _, a := range []struct{ name, key string }{{"advisoryForConsumed", "consumed"}, {"advisoryForDelivery", "delivered"}, {"advisoryForDispatched", "dispatched"},
		{"advisoryForDiscardingMessages", "discarded"}, {"advisoryForFastProducers", "fastProducer"}, {"advisoryForSlowConsumers", "slowConsumer"}, {"advisoryWhenFull", "full"},
		{"sendAdvisoryIfNoConsumers", "noConsumer"}, {"includeBodyForAdvisory", "bodies"}} {
		list = append(list, rule{on: "policyEntry@" + a.name, verdict: Mapped, key: "policies[].advisories." + a.key, as: asYes})
	}
	for _, name := range []string{"pendingQueuePolicy", "pendingSubscriberPolicy", "pendingDurableSubscriberPolicy"} {
		list = append(list, rule{on: "policyEntry/" + name, verdict: NotNeeded, whole: true, words: paging, enter: pendingPolicy}, rule{on: "policyEntry@" + name, verdict: NotNeeded, words: paging})
	}
	for _, on := range []string{"policyEntry/messageGroupMapFactory", "policyEntry@messageGroupMapFactory"} {
		list = append(list, rule{on: on, verdict: NotNeeded, whole: true, words: "each message group has its owner exactly"})
	}
	for _, name := range []string{"cursorMemoryHighWaterMark", "storeUsageHighWaterMark", "maxPageSize", "maxExpirePageSize", "lazyDispatch", "optimizedDispatch", "messageGroupMapFactoryType",
		"minimumMessageSize", "maxProducersToAudit", "maxAuditDepth", "maxQueueAuditDepth", "doOptimzeMessageStorage", "optimizeMessageStoreInFlightLimit", "reduceMemoryFootprint", "useCache",
		"advancedMessageStatisticsEnabled", "advancedNetworkStatisticsEnabled", "useTopicSubscriptionInflightStats", "usePrefetchExtension", "blockedProducerWarningInterval"} {
		list = append(list, rule{on: "policyEntry@" + name, verdict: NotNeeded, words: "a matter of how ActiveMQ works inside"})
	}
	for _, s := range []string{"deadLetterStrategy", "dispatchPolicy", "messageEvictionStrategy", "pendingMessageLimitStrategy", "slowConsumerStrategy", "subscriptionRecoveryPolicy"} {
		list = append(list, rule{on: "policyEntry@" + s, verdict: NotSupported, words: "refers to a bean; write the strategy as an element in the policyEntry"})
	}
	for _, s := range []string{"oldestMessage", "oldestMessageWithLowestPriority", "uniqueProperty"} {
		for _, name := range []string{"evictExpiredMessagesHighWatermark", "expiryCheckEnabled"} {
			list = append(list, rule{on: s + map[bool]string{true: "MessageEvictionStrategy", false: "EvictionStrategy"}[s == "uniqueProperty"] + "@" + name, verdict: NotNeeded, words: "expired messages go by themselves"})
		}
	}
	for _, s := range []string{"lastImage", "fixedCount", "fixedSized", "timed", "no", "retainedMessage"} {
		list = append(list, rule{on: s + "SubscriptionRecoveryPolicy@broker", verdict: NotNeeded, words: "a matter of how ActiveMQ works inside"})
	}
	for _, s := range []string{"abortSlowConsumerStrategy", "abortSlowAckConsumerStrategy"} {
		list = append(list,
			rule{on: s + "@maxSlowCount", verdict: Mapped, key: "policies[].slowConsumers.maxCount", as: asPositive},
			rule{on: s + "@checkPeriod", verdict: Mapped, key: "policies[].slowConsumers.checkPeriod", as: asMillis},
			rule{on: s + "@abortConnection", verdict: Mapped, key: "policies[].slowConsumers.abortConnection", as: asYes},
			rule{on: s + "@ignoreNetworkConsumers", verdict: NotNeeded, words: "there are no networks of brokers yet"},
			rule{on: s + "@brokerService", verdict: NotNeeded, words: "a matter of how ActiveMQ works inside"},
			rule{on: s + "@name", verdict: NotNeeded, words: "a name for JMX"})
	}
	return append(list, flowRules()...)
}

// flowRules are about how much may wait. memoryLimit bounds what is in memory: a queue of ActiveMQ that pages to its store takes more without end
// (4 MB into a queue with memoryLimit="1mb" do not block, with a vmQueueCursor they do), as Godwit's do.
func flowRules() []rule {
	const paged = "what does not fit into memory waits in the journal; with a vmQueueCursor it is flow.size"
	return []rule{
		{on: "policyEntry@memoryLimit", verdict: NotNeeded, words: paged, attribute: memoryLimit},
		{on: "policyEntry@producerFlowControl", verdict: NotNeeded, words: "false lets memory fill up and then spill; here what does not fit into memory waits in the journal anyway", attribute: flowControl},
		{on: "policyEntry@sendFailIfNoSpace", verdict: Mapped, key: "policies[].flow.wait", words: "0s", attribute: failAtOnce("policies[].flow.wait")},
		{on: "policyEntry@sendFailIfNoSpaceAfterTimeout", verdict: Mapped, key: "policies[].flow.wait", words: "unless sendFailIfNoSpace", attribute: failAfter("policies[].flow.wait")},
	}
}

func deadLetterRules() []rule {
	list := []rule{
		{on: "deadLetterStrategy", verdict: Mapped, key: "policies[].deadLetter"},
		{on: "sharedDeadLetterStrategy", verdict: Mapped, key: "policies[].deadLetter.strategy", enter: fixed("deadLetter.strategy", "shared")},
		{on: "individualDeadLetterStrategy", verdict: Mapped, key: "policies[].deadLetter.strategy", enter: fixed("deadLetter.strategy", "individual")},
		{on: "discarding", verdict: Mapped, key: "policies[].deadLetter.strategy", enter: fixed("deadLetter.strategy", "discard")},
		{on: "individualDeadLetterStrategy@queuePrefix", verdict: Mapped, key: "policies[].deadLetter.queuePrefix", as: asText},
		{on: "individualDeadLetterStrategy@queueSuffix", verdict: Mapped, key: "policies[].deadLetter.queueSuffix", as: asText},
		{on: "individualDeadLetterStrategy@topicPrefix", verdict: Mapped, key: "policies[].deadLetter.topicPrefix", as: asText},
		{on: "individualDeadLetterStrategy@topicSuffix", verdict: Mapped, key: "policies[].deadLetter.topicSuffix", as: asText},
		{on: "individualDeadLetterStrategy@useQueueForQueueMessages", verdict: Mapped, key: "policies[].deadLetter.queueMessagesTo", as: asQueueOrTopic},
		{on: "individualDeadLetterStrategy@useQueueForTopicMessages", verdict: Mapped, key: "policies[].deadLetter.topicMessagesTo", as: asQueueOrTopic},
		{on: "individualDeadLetterStrategy@destinationPerDurableSubscriber", verdict: Mapped, key: "policies[].deadLetter.perSubscription", as: asYes},
		{on: "deadLetterQueue", verdict: Mapped, key: "policies[].deadLetter.queue"},
		{on: "deadLetterQueue/queue", verdict: Mapped, key: "policies[].deadLetter.queue"},
		{on: "deadLetterQueue/queue@physicalName", verdict: Mapped, key: "policies[].deadLetter.queue", attribute: deadLetterQueue},
		{on: "deadLetterQueue/queue@name", verdict: Mapped, key: "policies[].deadLetter.queue", attribute: deadLetterQueue},
		{on: "deadLetterQueue/queue@DLQ", verdict: NotNeeded, words: "a matter of how ActiveMQ works inside"},
		{on: "deadLetterQueue/queue@properties", verdict: NotNeeded, words: "options are a client's"},
		{on: "deadLetterQueue/tempQueue", verdict: NotSupported, whole: true, words: "name a queue in policies[].deadLetter.queue"},
		{on: "deadLetterQueue/tempTopic", verdict: NotSupported, whole: true, words: "name a queue in policies[].deadLetter.queue"},
		{on: "deadLetterQueue/topic", verdict: NotSupported, whole: true, words: "all dead letters of one strategy go to a queue; name one in policies[].deadLetter.queue"},
	}
	for _, s := range []string{"sharedDeadLetterStrategy", "individualDeadLetterStrategy", "discarding"} {
		list = append(list,
			rule{on: s + "@deadLetterQueue", verdict: Mapped, key: "policies[].deadLetter.queue", attribute: deadLetterQueue},
			rule{on: s + "@processExpired", verdict: Mapped, key: "policies[].expiry.to", as: asExpiredTo},
			rule{on: s + "@processNonPersistent", verdict: Mapped, key: "policies[].deadLetter.nonPersistent", as: asYes},
			rule{on: s + "@expiration", verdict: Mapped, key: "policies[].deadLetter.expiration", as: asMillis})
		for _, name := range []string{"enableAudit", "maxAuditDepth", "maxProducersToAudit"} {
			list = append(list, rule{on: s + "@" + name, verdict: NotNeeded, words: "each dead letter is one message, not a copy that could come twice"})
		}
	}
	return list
}

func asQueueOrTopic(value string) (string, error) {
	yes, err := parseBool(value)
	if yes {
		return "queue", err
	}
	return "topic", err
}

func asExpiredTo(value string) (string, error) {
	yes, err := parseBool(value)
	if yes {
		return "dead-letter", err
	}
	return "drop", err
}
