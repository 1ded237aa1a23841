package activemq

import (
	"regexp"
	"strings"
)

func fileRules() []rule {
	list := []rule{
		{on: "@id", verdict: NotNeeded, words: "a name for Spring"},
		{on: "beans", verdict: NotNeeded, words: "the frame of the file"},
		{on: "bean", verdict: NotSupported, whole: true, words: "by its class", enter: enterBean},
		{on: "property-placeholder", verdict: Mapped, whole: true, words: "the values are taken over where they are used"},
		{on: "import", verdict: Mapped, words: "the file is read as well: jetty.xml and jetty-spring.xml for the API's address and users", enter: enterImport},
		{on: "import@resource", verdict: Mapped},
		{on: "beans/description", verdict: NotNeeded, words: "words for people"},
		{on: "alias", verdict: NotNeeded, words: "a name for Spring"},
		{on: "camelContext", verdict: NotSupported, whole: true, words: "Camel's routes do not run in the broker: run them in a process of their own, as a client"},
		{on: "connectionFactory", verdict: NotNeeded, whole: true, words: "is a client's"},
		{on: "xaConnectionFactory", verdict: NotNeeded, whole: true, words: "is a client's"},
		{on: "pooledConnectionFactory", verdict: NotNeeded, whole: true, words: "is a client's"},
		{on: "property", verdict: NotSupported, whole: true, words: "Spring's way to set a Java property; write it as an attribute"},
	}
	for _, name := range []string{"default-lazy-init", "default-autowire", "default-init-method", "default-destroy-method", "profile", "default-merge"} {
		list = append(list, rule{on: "beans@" + name, verdict: NotNeeded, words: "a matter of Spring"})
	}
	for _, name := range []string{"name", "alias"} {
		list = append(list, rule{on: "alias@" + name, verdict: NotNeeded, words: "a name for Spring"})
	}
	return list
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9._-]`)

func brokerName(im *importer, value string, item *Item) {
	name := notInName.ReplaceAllString(value, "_")
	im.put("broker.name", name, item)
	if name != value {
		item.Words = "other characters become _"
	}
}

func brokerRules() []rule {
	const (
		inside = "a matter of how ActiveMQ works inside"
		object = "a Java object, which has no place here"
		pairs  = "an active and a standby broker are set up in Godwit's own way"
		jmx    = "there is no JMX; the HTTP API lists the same, and has metrics"
		files  = "Godwit has a folder of its own, data; ActiveMQ's files are not read, and stay for the way back"
	)
	list := []rule{
		{on: "broker", verdict: Mapped, enter: func(im *importer, _ *node, item *Item) { im.broker = item }},
		{on: "broker@brokerName", verdict: Mapped, key: "broker.name", attribute: brokerName},
		{on: "broker@persistent", verdict: NotSupported, harmless: true, usual: "true", words: "persistent messages are always on disk and survive a restart"},
		{on: "broker@deleteAllMessagesOnStartup", verdict: NotSupported, usual: "false", words: "messages survive a restart; remove the data folder before the start if they should not"},
		{on: "broker@maxUncommittedCount", verdict: Mapped, key: "limits.transaction", words: "0 leaves it at the default", attribute: maxUncommitted},
		{on: "broker@offlineDurableSubscriberTimeout", verdict: Mapped, key: "subscribers.offlineTimeout", as: asMillis},
		{on: "broker@advisorySupport", verdict: Mapped, key: "broker.advisories", as: asYes},
		{on: "broker@schedulerSupport", verdict: Mapped, key: "scheduler.enabled", words: "without a word ActiveMQ delivers at once what should be delivered later; Godwit delivers it later", as: asYes},
		{on: "broker@maxSchedulerRepeatAllowed", verdict: Mapped, key: "scheduler.maxRepeat", as: asNumber},
		{on: "broker@schedulePeriodForDestinationPurge", verdict: Mapped, key: "sweep.every", usual: "0", words: "without it nothing is removed, as in ActiveMQ", attribute: sweepEvery},
		{on: "broker@maxPurgedDestinationsPerSweep", verdict: Mapped, key: "sweep.maximum", as: asPositive},
		{on: "broker@useVirtualTopics", verdict: Mapped, key: "virtualTopics", words: "none", usual: "true", attribute: virtualTopics},
		{on: "broker@useMirroredQueues", verdict: Mapped, key: "mirroredQueues", words: "all queues", usual: "false", attribute: mirroredQueues},
		{on: "broker@offlineDurableSubscriberTaskSchedule", verdict: NotNeeded, words: "the time is kept without a sweep"},
		{on: "broker@rejectDurableConsumers", verdict: NotSupported, usual: "false", words: "durable subscriptions cannot be refused as such; give nobody the right to admin the topics"},
		{on: "broker@messageAuthorizationPolicy", verdict: NotSupported, words: "rights by message are not there; use credentials.rights"},
		{on: "broker@useJmx", verdict: NotNeeded, words: jmx},
		{on: "broker@enableStatistics", verdict: NotNeeded, words: "figures are always counted; they cost next to nothing"},
		{on: "broker@rollbackOnlyOnAsyncException", verdict: NotSupported, harmless: true, usual: "true", words: "a transaction with a failed asynchronous send is always rolled back"},
		{on: "broker@enableMessageExpirationOnActiveDurableSubs", verdict: NotNeeded, words: "messages expire wherever they wait"},
		{on: "broker@maxInflatedDataSize", verdict: NotNeeded, words: "bodies are not inflated; limits.frameSize bounds them"},
		{on: "broker@useLocalHostBrokerName", verdict: NotSupported, harmless: true, usual: "false", words: "write the host's name in broker.name"},
		{on: "broker@allowTempAutoCreationOnSend", verdict: NotSupported, harmless: true, usual: "false", words: "a temporary destination is made by its consumer"},
		{on: "broker@destinationPolicy", verdict: NotSupported, words: "refers to a bean; write the policies in the broker"},
		{on: "broker@persistenceAdapter", verdict: NotSupported, harmless: true, words: "refers to a bean; the journal is used"},
		{on: "broker@systemUsage", verdict: NotSupported, harmless: true, words: "refers to a bean; write limits.memory and journal.maxSize"},
		{on: "broker@sslContext", verdict: NotSupported, harmless: true, words: "refers to a bean; set tls.certificate and tls.key"},
	}
	list = append(list, pendingBrokerRules()...)
	for _, group := range []struct {
		words string
		names []string
	}{
		{inside, []string{"adjustUsageLimits", "brokerId", "cacheTempDestinations", "consumerSystemUsage", "consumerSystemUsagePortion", "dedicatedTaskRunner", "diskUsageCheckRegrowThreshold",
			"keepDurableSubsActive", "monitorConnectionSplits", "networkConnectorStartAsync", "persistenceThreadPriority", "producerSystemUsage", "producerSystemUsagePortion", "restartAllowed",
			"schedulePeriodForDiskUsageCheck", "splitSystemUsageForProducersConsumers", "start", "startAsync", "storeOpenWireVersion", "systemExitOnShutdown", "systemExitOnShutdownExitCode",
			"taskRunnerPriority", "timeBeforePurgeTempDestinations", "useLoggingForShutdownErrors", "useShutdownHook", "virtualThreadTaskRunner", "vmConnectorURI", "ioExceptionHandler",
			"persistenceTaskRunnerFactory", "taskRunnerFactory", "tempDataStore", "startException", "brokerObjectName", "useVirtualDestSubs", "useVirtualDestSubsOnCreation"}},
		{pairs, []string{"passiveSlave", "shutdownOnMasterFailure", "shutdownOnSlaveFailure", "waitForSlave", "waitForSlaveTimeout"}},
		{jmx, []string{"mbeanInvocationTimeout", "populateUserNameInMBeans", "managementContext", "adminView"}},
		{files, []string{"dataDirectory", "dataDirectoryFile", "tmpDataDirectory", "schedulerDirectory", "schedulerDirectoryFile"}},
	} {
		for _, name := range group.names {
			list = append(list, rule{on: "broker@" + name, verdict: NotNeeded, words: group.words})
		}
	}
	for _, name := range []string{"brokerContext", "destinationFactory", "jobSchedulerStore", "persistenceFactory", "regionBroker"} {
		list = append(list, rule{on: "broker@" + name, verdict: NotSupported, words: object})
	}
	for _, name := range []string{"brokerContext", "destinationFactory", "regionBroker", "adminView"} {
		list = append(list, rule{on: "broker/" + name, verdict: NotSupported, whole: true, words: object})
	}
	return list
}

// pendingBrokerRules are for what has no key.
func pendingBrokerRules() []rule {
	return []rule{
		{on: "broker@anonymousProducerAdvisorySupport", verdict: NotSupported, harmless: true, usual: "false", words: "these advisories are not sent"},
		{on: "broker@populateJMSXUserID", verdict: Mapped, key: "broker.userID", as: asYes},
		{on: "broker@useAuthenticatedPrincipalForJMSXUserID", verdict: Same, words: "with broker.userID the name is that of the user who logged in, with a certificate too"},
		{on: "broker@useTempMirroredQueues", verdict: NotSupported, harmless: true, usual: "false", words: "temporary queues are not mirrored"},
	}
}

func maxUncommitted(im *importer, value string, item *Item) {
	if n, err := parseNumber(value); err == nil && n <= 0 {
		item.Verdict, item.Words = Same, "ActiveMQ's default is none, Godwit's a million"
		return
	}
	im.put("limits.transaction", strings.TrimSpace(value), item)
}

// sweepEvery notes that inactive destinations are removed at all.
func sweepEvery(im *importer, value string, item *Item) {
	text, err := asMillis(value)
	if err != nil {
		item.fail("%v", err)
		return
	}
	item.Words = ""
	im.sweeps = text != "0s"
	im.put("sweep.every", text, item)
}
