package config

import "time"

// Consumers is how queues deal with their consumers.
type Consumers struct {
	Exclusive        bool          `yaml:"exclusive" doc:"Give all messages of a queue to one consumer as long as it is there: the first of the highest priority. (ActiveMQ: allConsumersExclusiveByDefault.)"`
	StartConsumers   int           `yaml:"startConsumers" doc:"How many consumers a queue that had none waits for before it dispatches. (ActiveMQ: consumersBeforeDispatchStarts.)"`
	StartAfter       time.Duration `yaml:"startAfter" doc:"How long after its first consumer a queue begins to dispatch at the latest, or, without startConsumers, at the earliest. 0s with startConsumers: it waits for them without limit. (ActiveMQ: timeBeforeDispatchStarts.)"`
	StrictOrder      bool          `yaml:"strictOrder" doc:"Fill the window of one consumer before the next one gets anything, instead of going by turns. (ActiveMQ: strictOrderDispatch.)"`
	Priority         bool          `yaml:"priority" doc:"Whether consumers of higher priority come first. (ActiveMQ: useConsumerPriority.)"`
	MaxBrowse        int           `yaml:"maxBrowse" doc:"How many messages a browser is shown at most: the first ones of the queue. 0 is all of them. (ActiveMQ: maxBrowsePageSize, there 400.)"`
	ShrinkIdleWindow time.Duration `yaml:"shrinkIdleWindow" doc:"If not 0s, a consumer's window follows its pace: it begins at 8 messages or its prefetch, doubles when a whole window was acknowledged, and halves when nothing was for this long while messages wait and other consumers are there. So a consumer that holds messages without working on them keeps few of them from the others. For consumers that acknowledge single messages or small batches."`
	GroupLease       time.Duration `yaml:"groupLease" doc:"If not 0s, how long the owner of a message group may be without room for more messages before another consumer may have the group. The group moves only when none of its messages is at a consumer, so its order holds. A consumer that pulls (prefetch 0) holds a group only while it asks for a message or has one, whatever this says."`
	StickyGroups     bool          `yaml:"stickyGroups" doc:"Leave message groups with their owners when consumers come, as ActiveMQ does. Otherwise a new consumer gets its share of the groups that have no message at a consumer."`
}

// Subscribers is how topics deal with their subscriptions.
type Subscribers struct {
	PendingLimit      int           `yaml:"pendingLimit" doc:"How many messages may wait for a subscriber that is not durable, beside those in its window; the rest is discarded. -1 is no limit. (ActiveMQ: constantPendingMessageLimitStrategy.)"`
	PendingRate       float64       `yaml:"pendingRate" doc:"The same as a multiple of the subscriber's prefetch; 0 leaves it to pendingLimit. (ActiveMQ: prefetchRatePendingMessageLimitStrategy.)"`
	Evict             string        `yaml:"evict" allowed:"oldest|oldestWithLowestPriority|uniqueProperty" doc:"Which message is discarded: the oldest; the oldest of the lowest priority; one whose evictProperty has the value of a newer one."`
	EvictProperty     string        `yaml:"evictProperty" doc:"The property of evict: uniqueProperty."`
	Recovery          string        `yaml:"recovery" allowed:"none|lastImage|fixedCount|fixedSized|timed|retained" doc:"Which past messages a retroactive consumer gets: none; the last; the last recoveryCount; the last of together recoverySize; those not older than recoveryTime; the last that was sent with the property ActiveMQ.Retain=true (an empty one clears it). They are kept in memory, a retained one that is persistent in the journal too."`
	RecoveryCount     int           `yaml:"recoveryCount" doc:"Messages of recovery: fixedCount."`
	RecoverySize      Size          `yaml:"recoverySize" doc:"Bytes of recovery: fixedSized."`
	RecoveryTime      time.Duration `yaml:"recoveryTime" doc:"Age of recovery: timed."`
	AlwaysRetroactive bool          `yaml:"alwaysRetroactive" doc:"Take every subscriber for a retroactive consumer."`
	OfflineTimeout    time.Duration `yaml:"offlineTimeout" doc:"If not 0s, a durable subscription that has had no consumer for this long is removed with its messages. The time counts anew from each start of the broker. (ActiveMQ: offlineDurableSubscriberTimeout.)"`
}

// Slow says when a consumer loses its place.
type Slow struct {
	MaxTime         time.Duration `yaml:"maxTime" doc:"For how long a consumer may be slow. 0s is no limit. (ActiveMQ: abortSlowConsumerStrategy maxSlowDuration.)"`
	MaxCount        int           `yaml:"maxCount" doc:"How often a consumer may become slow. 0 is no limit. (ActiveMQ: maxSlowCount.)"`
	MaxSinceAck     time.Duration `yaml:"maxSinceAck" doc:"How long a consumer that has messages may go without an acknowledgement. 0s is no limit. (ActiveMQ: abortSlowAckConsumerStrategy maxTimeSinceLastAck.)"`
	IgnoreIdle      bool          `yaml:"ignoreIdle" doc:"Whether maxSinceAck leaves out consumers that have nothing to acknowledge."`
	AbortConnection bool          `yaml:"abortConnection" doc:"End the connection, not just the consumer."`
	CheckPeriod     time.Duration `yaml:"checkPeriod" doc:"How often consumers are looked at."`
}

func defaultConsumers() Consumers { return Consumers{Priority: true} }

func defaultSubscribers() Subscribers {
	return Subscribers{PendingLimit: -1, Evict: "oldest", Recovery: "none", RecoveryCount: 100, RecoverySize: 64 << 10, RecoveryTime: time.Minute}
}

func defaultSlow() Slow { return Slow{IgnoreIdle: true, CheckPeriod: 30 * time.Second} }

// consumption checks what is said of consumers.
func (k checker) consumption(c Consumers, s Subscribers, slow Slow, key string) {
	k.check(c.StartConsumers >= 0, key+"consumers.startConsumers", "%d is negative; expected 0 or more", c.StartConsumers)
	k.check(c.MaxBrowse >= 0, key+"consumers.maxBrowse", "%d is negative; expected 0 or more", c.MaxBrowse)
	k.check(s.PendingLimit >= -1, key+"subscribers.pendingLimit", "%d is out of range; expected -1 for no limit, or more", s.PendingLimit)
	k.check(s.PendingRate >= 0 && s.PendingRate <= 1000, key+"subscribers.pendingRate", "%v is out of range; expected 0 to 1000", s.PendingRate)
	k.check(s.Evict != "uniqueProperty" || s.EvictProperty != "", key+"subscribers.evictProperty", "evict: uniqueProperty needs the property's name")
	k.check(s.RecoveryCount >= 1 && s.RecoveryCount <= 1_000_000, key+"subscribers.recoveryCount", "%d is out of range; expected 1 to 1000000", s.RecoveryCount)
	k.check(s.RecoverySize >= 1, key+"subscribers.recoverySize", "%d is no size; expected 1 or more", s.RecoverySize)
	k.check(s.RecoveryTime > 0, key+"subscribers.recoveryTime", "%v is no time; expected more than 0s", s.RecoveryTime)
	k.check(slow.MaxCount >= 0, key+"slowConsumers.maxCount", "%d is negative; expected 0 or more", slow.MaxCount)
	k.check(slow.CheckPeriod >= 100*time.Millisecond, key+"slowConsumers.checkPeriod", "%v is too short; expected 100ms or more", slow.CheckPeriod)
}
