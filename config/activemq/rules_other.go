package activemq

func otherRules() []rule {
	const (
		network = "bridges to other brokers are not there yet: let clients connect to this broker, or keep the old one as the network's member"
		jmx     = "there is no JMX; the HTTP API lists the same, and has metrics"
		errors  = "after an error of the disk the broker stops, so that nothing is confirmed that is not stored; a full disk refuses sends only"
	)
	list := []rule{
		{on: "networkConnectors", verdict: NotNeeded, words: "see what is in it"},
		{on: "networkConnectorURIs", verdict: NotSupported, whole: true, words: network},
		{on: "networkConnector", verdict: NotSupported, whole: true, words: network},
		{on: "multicastNetworkConnector", verdict: NotSupported, whole: true, words: network},
		{on: "ldapNetworkConnector", verdict: NotSupported, whole: true, words: network},
		{on: "transportConnectorURIs", verdict: NotSupported, whole: true, words: "write them as transportConnector"},
		{on: "proxyConnectors", verdict: NotSupported, whole: true, words: "a proxy is no part of a broker; use one of TCP, with listeners[].proxyFrom"},
		{on: "jmsBridgeConnectors", verdict: NotSupported, whole: true, words: "bridges to other JMS servers do not run in the broker: run them in a process of their own, as a client"},
		{on: "services", verdict: NotSupported, whole: true, words: "Java does not run here: run it in a process of its own, as a client"},
		{on: "managementContext", verdict: NotNeeded, words: jmx},
		{on: "managementContext/property", verdict: NotNeeded, whole: true, words: jmx},
		{on: "managementContext@createConnector", verdict: NotSupported, harmless: true, usual: "false", words: jmx},
		{on: "shutdownHooks", verdict: NotNeeded, whole: true, words: "belongs to Java's way of stopping"},
		{on: "ioExceptionHandler", verdict: NotNeeded, words: errors},
		{on: "persistenceTaskRunnerFactory", verdict: NotNeeded, whole: true, words: "a matter of Java's threads"},
		{on: "taskRunnerFactory", verdict: NotNeeded, whole: true, words: "a matter of Java's threads"},
	}
	for _, name := range []string{"MBeanServer", "allowRemoteAddressInMBeanNames", "brokerName", "connectorHost", "connectorPath", "connectorPort", "createMBeanServer", "environment",
		"findTigerMbeanServer", "jmxDomainName", "rmiServerPort", "server", "suppressMBean", "useMBeanServer"} {
		list = append(list, rule{on: "managementContext@" + name, verdict: NotNeeded, words: jmx})
	}
	for _, name := range []string{"defaultIOExceptionHandler", "jDBCIOExceptionHandler", "leaseLockerIOExceptionHandler"} {
		list = append(list, rule{on: name, verdict: NotNeeded, whole: true, words: errors})
	}
	return list
}
