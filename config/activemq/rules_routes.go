package activemq

func routeRules() []rule {
	const routes = "it cannot be said in godwit.yaml yet"
	return []rule{
		{on: "destinations", verdict: NotNeeded, whole: true, words: "destinations come into being by their first use"},
		{on: "destinationInterceptors", verdict: NotSupported, words: "see what is in it"},
		{on: "virtualDestinationInterceptor", verdict: NotSupported, whole: true, words: routes},
		{on: "mirroredQueue", verdict: NotSupported, whole: true, words: routes},
	}
}
