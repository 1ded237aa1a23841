package main

import (
	"github.com/godwitmq/godwit/broker"
	"github.com/godwitmq/godwit/config"
)

func consumerPolicy(c config.Consumers) broker.ConsumerPolicy {
	return broker.ConsumerPolicy{
		Exclusive: c.Exclusive, StartConsumers: c.StartConsumers, StartAfter: c.StartAfter, StrictOrder: c.StrictOrder, IgnorePriority: !c.Priority,
		MaxBrowse: c.MaxBrowse, ShrinkIdleWindow: c.ShrinkIdleWindow, GroupLease: c.GroupLease, StickyGroups: c.StickyGroups,
	}
}

var (
	evictions = map[string]broker.Eviction{
		"oldest": broker.EvictOldest, "oldestWithLowestPriority": broker.EvictLowestPriority, "uniqueProperty": broker.EvictByProperty,
	}
	recoveries = map[string]broker.Recovery{
		"none": broker.RecoverNone, "lastImage": broker.RecoverLast, "fixedCount": broker.RecoverCount, "fixedSized": broker.RecoverSize, "timed": broker.RecoverTime,
		"retained": broker.RecoverRetained,
	}
)

func subscriberPolicy(s config.Subscribers) broker.SubscriberPolicy {
	return broker.SubscriberPolicy{
		Limited: s.PendingLimit >= 0 || s.PendingRate > 0, PendingLimit: max(0, s.PendingLimit), PendingRate: s.PendingRate,
		Eviction: evictions[s.Evict], EvictionProperty: s.EvictProperty,
		Recovery: recoveries[s.Recovery], RecoveryCount: s.RecoveryCount, RecoverySize: int64(s.RecoverySize), RecoveryTime: s.RecoveryTime,
		AlwaysRetroactive: s.AlwaysRetroactive, OfflineTimeout: s.OfflineTimeout,
	}
}

func slowPolicy(s config.Slow) broker.SlowPolicy {
	return broker.SlowPolicy{MaxTime: s.MaxTime, MaxCount: s.MaxCount, MaxSinceAck: s.MaxSinceAck, CountIdle: !s.IgnoreIdle, AbortConnection: s.AbortConnection, CheckPeriod: s.CheckPeriod}
}
