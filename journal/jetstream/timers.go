package jetstream

import (
	"sync"
	"time"
	_ "unsafe" // for go:linkname

	_ "github.com/nats-io/nats-server/v2/server"
)

// The server elects leaders after 4 to 9 seconds without a heartbeat, one a second, and has no options for that: the death of the node with a
// stream's leader would stop appends for so long. These are its variables, by their names at link time; TestTimers fails if a new version has others.
// What the replicas agree on does not depend on them, only how soon they notice and how much they talk.

//go:linkname minElectionTimeout github.com/nats-io/nats-server/v2/server.minElectionTimeout
var minElectionTimeout time.Duration

//go:linkname maxElectionTimeout github.com/nats-io/nats-server/v2/server.maxElectionTimeout
var maxElectionTimeout time.Duration

//go:linkname hbInterval github.com/nats-io/nats-server/v2/server.hbInterval
var hbInterval time.Duration

//go:linkname minCampaignTimeout github.com/nats-io/nats-server/v2/server.minCampaignTimeout
var minCampaignTimeout time.Duration

//go:linkname maxCampaignTimeout github.com/nats-io/nats-server/v2/server.maxCampaignTimeout
var maxCampaignTimeout time.Duration

const (
	electionMin = 600 * time.Millisecond
	electionMax = 1200 * time.Millisecond
	heartbeat   = 150 * time.Millisecond
	// From the moment when a node is told to begin an election, until it does: chance keeps two from standing in each other's way.
	campaignMin = 20 * time.Millisecond
	campaignMax = 100 * time.Millisecond

	serversElectionMin = 4 * time.Second
	serversHeartbeat   = time.Second
	serversCampaignMin = 100 * time.Millisecond
)

// shortenTimers must come before the first server of the process is made. It returns false if the variables are not the server's: then all works, only elections
// take as long as the server thinks.
var shortenTimers = sync.OnceValue(func() bool {
	if minElectionTimeout != serversElectionMin || hbInterval != serversHeartbeat || maxElectionTimeout <= minElectionTimeout ||
		minCampaignTimeout != serversCampaignMin || maxCampaignTimeout <= minCampaignTimeout {
		return false
	}
	minElectionTimeout, maxElectionTimeout, hbInterval = electionMin, electionMax, heartbeat
	minCampaignTimeout, maxCampaignTimeout = campaignMin, campaignMax
	return true
})
