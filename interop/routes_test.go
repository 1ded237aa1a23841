package interop

import (
	"os"
	"testing"
)

// routesYAML is the configuration that java/src/interop/Routes.java speaks of. What ActiveMQ has of it, java/activemq sets up with -Droutes=true.
const routesYAML = `
virtualTopics:
  - {topic: 'VirtualTopic.>'}
  - {topic: 'VS.>', prefix: 'C.*.', selectorAware: true}
  - {topic: 'VK.>', prefix: 'K.*.', hideTopic: true}
  - {topic: 'VP.>', postfix: .copy}
compositeDestinations:
  - {destination: 'queue://CQ', forwardTo: [{destination: 'queue://CQ.a'}, {destination: 'topic://CQ.t'}]}
  - {destination: 'queue://CH', alsoHere: true, forwardTo: [{destination: 'queue://CH.a'}]}
  - {destination: 'queue://CF', whenNotMatched: true, forwardTo: [{destination: 'queue://CF.a', selector: 'n = 1'}, {destination: 'topic://CF.t', selector: 'n > 1'}]}
  - {destination: 'queue://CG', forwardTo: [{destination: 'queue://CG.a', selector: 'n = 1'}]}
  - {destination: 'queue://CW.>', forwardTo: [{destination: 'queue://CWa'}]}
  - {destination: 'queue://CV', forwardTo: [{destination: 'topic://VirtualTopic.CV'}]}
  - {destination: 'topic://CT', alsoHere: true, forwardTo: [{destination: 'queue://CT.a'}]}
mirroredQueues: [{queues: 'mirrored.>', prefix: M.}]
policies:
  - {destination: 'queue://K.last', keep: {lastValueKey: _AMQ_LVQ_NAME}}
  - {destination: 'queue://K.ring', keep: {ring: 2}}
  - {destination: 'queue://max.>', maximumDestinations: 2}
`

// TestRoutes has Java clients send to virtual topics, composite destinations, mirrored queues, and names that stand for several.
func TestRoutes(t *testing.T) {
	needSomething(t)
	var b *broker
	r := run{suite: "routes"}
	if os.Getenv("GODWIT_INTEROP_BROKER") == "" {
		b = startOwn(t, routesYAML, brokerOptions{})
		r.env = []string{"INTEROP_GODWIT=1"}
	} else {
		b = startBroker(t, brokerOptions{routes: true})
	}
	for _, module := range []string{"jakarta", "javax"} {
		t.Run(module, func(t *testing.T) { java(module)(t).run(t, b, r) })
	}
}
