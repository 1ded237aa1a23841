package activemq

func storeRules() []rule {
	const (
		kaha   = "tunes KahaDB's files; the journal has no such knob"
		synced = "every persistent message is on disk before it is confirmed, always"
		other  = "a store of ActiveMQ's, which is not read: drain the old broker, or move its messages through clients; Godwit's journal takes its place"
		inside = "a matter of how ActiveMQ works inside"
	)
	list := []rule{
		{on: "systemUsage", verdict: Mapped, key: "limits, journal"},
		{on: "memoryUsage", verdict: Mapped, key: "limits.memory"},
		{on: "memoryUsage@limit", verdict: Mapped, key: "limits.memory", as: asSize},
		{on: "memoryUsage@percentOfJvmHeap", verdict: NotNeeded, words: "there is no Java heap to take a part of; limits.memory and limits.cache are in bytes"},
		{on: "storeUsage", verdict: Mapped, key: "journal.maxSize"},
		{on: "storeUsage@limit", verdict: Mapped, key: "journal.maxSize", as: asSize},
		{on: "storeUsage@percentLimit", verdict: NotSupported, harmless: true, words: "write journal.maxSize in bytes; without it the journal may fill the disk but for journal.reserve"},
		{on: "tempUsage", verdict: NotNeeded, words: "non-persistent messages beyond limits.memory wait in the journal, within journal.maxSize"},
		{on: "jobSchedulerUsage", verdict: NotNeeded, words: "all is in one journal, within journal.maxSize"},
		{on: "systemUsage@sendFailIfNoSpace", verdict: Mapped, key: "flow.wait", words: "0s; ActiveMQ's default, to wait without end, is not there: 30s", attribute: failAtOnce("flow.wait")},
		{on: "systemUsage@sendFailIfNoSpaceAfterTimeout", verdict: Mapped, key: "flow.wait", words: "unless sendFailIfNoSpace", attribute: failAfter("flow.wait")},
		{on: "systemUsage@sendFailIfNoSpaceExplicitySet", verdict: NotNeeded, words: inside},
		{on: "broker/consumerSystemUsage", verdict: NotNeeded, whole: true, words: "producers and consumers share one memory"},
		{on: "broker/producerSystemUsage", verdict: NotNeeded, whole: true, words: "producers and consumers share one memory"},
		{on: "tempDataStore", verdict: NotNeeded, whole: true, words: "non-persistent messages beyond limits.memory wait in the journal"},
		{on: "systemUsage/tempStore", verdict: NotNeeded, whole: true, words: "non-persistent messages beyond limits.memory wait in the journal"},

		{on: "persistenceAdapter", verdict: Mapped, key: "journal"},
		{on: "persistenceFactory", verdict: Mapped, key: "journal"},
		{on: "kahaDB", verdict: Mapped, key: "journal", words: "KahaDB's files are not read: drain the old broker, or move its messages through clients"},
		{on: "kahaDB@directory", verdict: NotNeeded, words: "Godwit has a folder of its own, data; ActiveMQ's files are not read, and stay for the way back"},
		{on: "kahaDB@enableJournalDiskSyncs", verdict: Same, words: synced},
		{on: "kahaDB@journalDiskSyncStrategy", verdict: Same, words: synced},
		{on: "kahaDB@journalDiskSyncInterval", verdict: Same, words: synced},
		{on: "kahaDB@concurrentStoreAndDispatchQueues", verdict: NotNeeded, words: "a message is stored and dispatched in one go, and confirmed after it is stored"},
		{on: "kahaDB@concurrentStoreAndDispatchTopics", verdict: NotNeeded, words: "a message is stored and dispatched in one go, and confirmed after it is stored"},
		{on: "kahaDB@maxFailoverProducersToTrack", verdict: Mapped, key: "limits.duplicateProducers", words: "if it is more than the default", attribute: duplicateProducers},
		{on: "kahaDB@ignoreMissingJournalfiles", verdict: NotNeeded, words: "a journal with a gap is not started over; godwit journal check says what is missing"},
		{on: "kahaDB@useLock", verdict: NotNeeded, words: "a data folder is locked by the broker that uses it"},
		{on: "kahaDB/locker", verdict: NotNeeded, whole: true, words: "a data folder is locked by the broker that uses it; a standby does not share it"},
		{on: "mKahaDB", verdict: Mapped, key: "journal", words: "one journal takes the place of several"},
		{on: "filteredPersistenceAdapters", verdict: NotNeeded, whole: true, words: "one journal holds all destinations"},
		{on: "memoryPersistenceAdapter", verdict: NotSupported, harmless: true, whole: true, words: "persistent messages are always on disk and survive a restart"},
		{on: "jobSchedulerStore", verdict: NotNeeded, whole: true, words: "all is in one journal"},
	}
	for _, name := range []string{"jdbcPersistenceAdapter", "journaledJDBC", "journalPersistenceAdapter", "journalPersistenceAdapterFactory", "levelDB", "replicatedLevelDB", "amqPersistenceAdapter", "amqPersistenceAdapterFactory"} {
		list = append(list, rule{on: name, verdict: NotSupported, whole: true, words: other})
	}
	for _, usage := range []string{"memoryUsage", "storeUsage", "tempUsage", "jobSchedulerUsage"} {
		for _, name := range []string{"name", "executor", "limiter", "parent", "percentUsage", "percentUsageMinDelta", "pollingTime", "portion", "usage", "usagePortion", "store", "total"} {
			list = append(list, rule{on: usage + "@" + name, verdict: NotNeeded, words: inside})
		}
	}
	for _, name := range []string{"tempUsage@limit", "tempUsage@percentLimit", "jobSchedulerUsage@limit"} {
		list = append(list, rule{on: name, verdict: NotNeeded, words: "all is in one journal, within journal.maxSize"})
	}
	for _, name := range []string{"adapter", "checkLimitsLogLevel", "executor", "jobSchedulerStore", "jobSchedulerUsage", "memoryUsage", "name", "parent", "storeUsage", "tempStore", "tempUsage"} {
		list = append(list, rule{on: "systemUsage@" + name, verdict: NotNeeded, words: inside})
	}
	for _, name := range []string{"archiveCorruptedIndex", "archiveDataLogs", "brokerName", "brokerService", "checkForCorruptJournalFiles", "checkpointInterval", "checksumJournalFiles", "cleanupInterval",
		"cleanupOnStop", "compactAcksAfterNoGC", "compactAcksIgnoresStoreGrowth", "dataFileFactory", "databaseLockedWaitDelay", "directoryArchive", "enableAckCompaction", "enableIndexDiskSyncs",
		"enableIndexPageCaching", "enableIndexRecoveryFile", "enableIndexWriteAsync", "enableSubscriptionStatistics", "failoverProducersAuditDepth", "forceRecoverIndex", "indexCacheSize",
		"indexDirectory", "indexLFUEvictionFactor", "indexWriteBatchSize", "journalMaxFileLength", "journalMaxWriteBatchSize", "lockKeepAlivePeriod", "locker", "maxAsyncJobs",
		"preallocationScope", "preallocationStrategy", "purgeRecoveredXATransactionStrategy", "scheduledThreadPoolExecutor", "stopOnError", "transactionIdTransformer", "usageManager", "useIndexLFRUEviction"} {
		list = append(list, rule{on: "kahaDB@" + name, verdict: NotNeeded, words: kaha})
	}
	for _, name := range []string{"brokerName", "brokerService", "checkForCorruption", "directory", "journalCleanupInterval", "journalMaxFileLength", "journalWriteBatchSize", "lockKeepAlivePeriod", "locker",
		"scheduledThreadPoolExecutor", "stopOnError", "transactionStore", "usageManager", "useLock"} {
		list = append(list, rule{on: "mKahaDB@" + name, verdict: NotNeeded, words: kaha})
	}
	return list
}

// duplicateProducers takes the number over if it is more than ours: fewer would forget what ours remembers.
func duplicateProducers(im *importer, value string, item *Item) {
	n, err := parseNumber(value)
	switch {
	case err != nil:
		item.fail("%v", err)
	case n <= int64(im.config.Limits.DuplicateProducers):
		item.Verdict, item.Words = Same, "Godwit remembers more"
	default:
		im.put("limits.duplicateProducers", value, item)
	}
}
