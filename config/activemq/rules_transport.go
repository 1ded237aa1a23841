package activemq

func transportRules() []rule {
	const (
		sockets = "a matter of Java's sockets and threads"
		cluster = "clients are not told of other brokers yet; give them a failover: URL with all addresses"
		wire    = "agreed with each client as it connects"
	)
	list := []rule{
		{on: "transportConnectors", verdict: Mapped, key: "listeners"},
		{on: "transportConnector", verdict: Mapped, key: "listeners[]", enter: enterConnector, leave: leaveConnector},
		{on: "transportConnector@name", verdict: Mapped, key: "listeners[].name"},
		{on: "transportConnector@uri", verdict: Mapped, key: "listeners[].url", words: "tcp, nio, ssl, auto and stomp and what is made of them; others are not spoken yet", attribute: connectorURI},
		{on: "transportConnector?maximumConnections", verdict: Mapped, key: "listeners[].maxConnections", attribute: optionConnections},
		{on: "transportConnector?maxFrameSize", verdict: Mapped, key: "limits.frameSize", words: "one limit for all listeners: the largest of theirs, and at most 1 GiB", attribute: optionFrame},
		{on: "transportConnector?needClientAuth", verdict: Mapped, key: "listeners[].clientAuth", words: "required", attribute: optionAuth("required")},
		{on: "transportConnector?wantClientAuth", verdict: Mapped, key: "listeners[].clientAuth", words: "optional", attribute: optionAuth("optional")},
		{on: "transportConnector?enabledProtocols", verdict: Same, words: "TLS 1.2 and 1.3, nothing older", attribute: optionProtocols},
		{on: "transportConnector?enabledCipherSuites", verdict: NotSupported, harmless: true, words: "only suites with forward secrecy are used anyway; they cannot be chosen"},
		{on: "transportConnector?verifyHostName", verdict: NotNeeded, words: "clients' certificates are not for host names; their subject counts"},
		{on: "transportConnector?connectAttemptTimeout", verdict: Mapped, key: "limits.loginTimeout", words: "for all listeners", as: asMillis},
		{on: "transportConnector?connectionAttemptTimeout", verdict: Mapped, key: "limits.loginTimeout", words: "for all listeners", as: asMillis},
		{on: "transportConnector?protocolDetectionTimeOut", verdict: NotNeeded, words: "limits.loginTimeout bounds it"},
		{on: "transportConnector?maxInactivityDuration", verdict: NotSupported, harmless: true, usual: "30000", words: "30 s are proposed, and a client's shorter time is taken: set it in the clients' URLs"},
		{on: "transportConnector?useInactivityMonitor", verdict: NotSupported, harmless: true, usual: "true", words: "silent clients are always looked after; a client may switch it off in its URL"},
		{on: "transportConnector?soWriteTimeout", verdict: NotNeeded, words: "a client that does not read is cut off after limits of its own"},
		{on: "transportConnector?maxFrameSizeEnabled", verdict: NotSupported, harmless: true, usual: "true", words: "frames are always bounded; raise limits.frameSize"},
		{on: "transportConnector?auto.protocols", verdict: NotSupported, harmless: true, words: "a listener with protocol auto takes all protocols that there are; make one listener for each protocol instead"},
	}
	for _, name := range []string{"soTimeout", "soLinger", "trafficClass", "typeOfService", "diffServ", "ioBufferSize", "socketBufferSize", "backlog", "stackSize", "threadName",
		"useQueueForAccept", "closeAsync", "daemon", "keepAlive", "tcpNoDelay", "useKeepAlive", "maxConnectionThreadPoolSize", "minmumWireFormatVersion", "trace", "jmxPort",
		"logWriterName", "dynamicManagement", "startLogging", "dynamicTransport", "useLocalHost", "sendBufferSize", "receiveBufferSize", "selectWorkers", "enableStatusMonitor", "dispatchAsync"} {
		list = append(list, rule{on: "transportConnector?" + name, verdict: NotNeeded, words: sockets})
	}
	for _, name := range []string{"maxInactivityDurationInitalDelay", "maxInactivityDurationInitialDelay", "tightEncodingEnabled", "cacheEnabled", "cacheSize", "sizePrefixDisabled",
		"stackTraceEnabled", "tcpNoDelayEnabled", "version", "hbGracePeriodMultiplier", "defaultHeartBeat", "includeStackTrace"} {
		list = append(list, rule{on: "transportConnector?" + name, verdict: NotNeeded, words: wire})
	}
	list = append(list,
		rule{on: "transportConnector@discoveryUri", verdict: NotSupported, harmless: true, words: "the broker does not announce itself by multicast; give clients its address"},
		rule{on: "transportConnector@discoveryAgent", verdict: NotSupported, harmless: true, words: "the broker does not announce itself; give clients its address"},
		rule{on: "transportConnector@updateClusterClients", verdict: NotSupported, harmless: true, usual: "false", words: cluster},
		rule{on: "transportConnector@rebalanceClusterClients", verdict: NotSupported, harmless: true, usual: "false", words: cluster},
		rule{on: "transportConnector@updateClusterClientsOnRemove", verdict: NotSupported, harmless: true, usual: "false", words: cluster},
		rule{on: "transportConnector@updateClusterFilter", verdict: NotSupported, harmless: true, words: cluster},
		rule{on: "transportConnector@maximumProducersAllowedPerConnection", verdict: NotSupported, harmless: true, usual: "2147483647", words: "a connection's producers are not counted"},
		rule{on: "transportConnector@maximumConsumersAllowedPerConnection", verdict: NotSupported, harmless: true, usual: "2147483647", words: "a connection's consumers are not counted"},
		rule{on: "transportConnector@allowLinkStealing", verdict: NotSupported, harmless: true, usual: "false", words: "a second client with the same client id is refused"},
		rule{on: "transportConnector@auditNetworkProducers", verdict: NotSupported, harmless: true, usual: "false", words: "there are no networks of brokers yet"},
		rule{on: "transportConnector@messageAuthorizationPolicy", verdict: NotSupported, words: "rights by message are not there; use credentials.rights"},
		rule{on: "publishedAddressPolicy", verdict: NotSupported, harmless: true, whole: true, words: cluster},
	)
	for _, name := range []string{"enableStatusMonitor", "disableAsyncDispatch", "warnOnRemoteClose", "displayStackTrace", "autoStart", "brokerInfo", "brokerService", "server", "taskRunnerFactory", "publishedAddressPolicy"} {
		list = append(list, rule{on: "transportConnector@" + name, verdict: NotNeeded, words: sockets})
	}
	return append(list, tlsRules()...)
}

func tlsRules() []rule {
	const used = "read to find certificate and key; not kept"
	list := []rule{
		{on: "sslContext", verdict: Mapped, key: "tls", leave: leaveTLS},
		{on: "sslContext@keyStore", verdict: Mapped, key: "tls.certificate, tls.key", words: "written as PEM files beside godwit.yaml", attribute: tlsAttribute("keyStore")},
		{on: "sslContext@trustStore", verdict: Mapped, key: "tls.clientCA", words: "written as a PEM file beside godwit.yaml", attribute: tlsAttribute("trustStore")},
		{on: "sslContext@crlPath", verdict: NotSupported, words: "lists of revoked certificates are not read: take the users of revoked certificates out of credentials.users"},
		{on: "sslContext/keyManagers", verdict: NotSupported, whole: true, words: "Java objects; set tls.certificate and tls.key"},
		{on: "sslContext/trustManagers", verdict: NotSupported, whole: true, words: "Java objects; set tls.clientCA"},
		{on: "sslContext@SSLContext", verdict: NotSupported, words: "a Java object; set tls.certificate, tls.key and tls.clientCA"},
	}
	for _, name := range []string{"keyStorePassword", "keyStoreKeyPassword", "keyStoreType", "trustStorePassword", "trustStoreType"} {
		list = append(list, rule{on: "sslContext@" + name, verdict: NotNeeded, words: used, attribute: tlsAttribute(name)})
	}
	for _, name := range []string{"keyStoreAlgorithm", "trustStoreAlgorithm", "protocol", "provider", "secureRandom", "secureRandomAlgorithm"} {
		list = append(list, rule{on: "sslContext@" + name, verdict: NotNeeded, words: "a matter of Java's TLS"})
	}
	return list
}
