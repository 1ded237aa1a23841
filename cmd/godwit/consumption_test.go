package main

import (
	"reflect"
	"testing"
	"time"

	"github.com/godwitmq/godwit/config"
)

// A key that the core is not told of would be a setting without effect.
func TestEveryKeyOfAPolicyReachesTheCore(t *testing.T) {
	def := config.Default()
	base := config.Policy{Destination: "queue://a", Redelivery: def.Redelivery, DeadLetter: def.DeadLetter, Expiry: def.Expiry, Consumers: def.Consumers, Subscribers: def.Subscribers, Slow: def.Slow, Flow: def.Flow}
	base.Redelivery.MaximumDelay, base.DeadLetter.Strategy, base.Expiry.BrokerTime = time.Hour, "individual", true
	other := map[string]string{"evict": "uniqueProperty", "recovery": "timed", "to": "drop", "then": "drop",
		"strategy": "shared", "queueMessagesTo": "topic", "topicMessagesTo": "topic"} // of settings with allowed values
	for _, section := range []string{"Redelivery", "DeadLetter", "Expiry", "Consumers", "Subscribers", "Slow", "Flow"} {
		fields := reflect.ValueOf(base).FieldByName(section).Type()
		for i := range fields.NumField() {
			changed := base
			key := fields.Field(i).Tag.Get("yaml")
			switch f := reflect.ValueOf(&changed).Elem().FieldByName(section).Field(i); f.Kind() {
			case reflect.Bool:
				f.SetBool(!f.Bool())
			case reflect.Float64:
				f.SetFloat(f.Float() + 1)
			case reflect.Slice:
				f.Set(reflect.ValueOf([]string{"a"}))
			case reflect.String:
				f.SetString(other[key] + map[bool]string{true: "other"}[other[key] == ""])
			default:
				f.SetInt(f.Int() + 12345)
			}
			if reflect.DeepEqual(brokerPolicy(changed), brokerPolicy(base)) {
				t.Errorf("%s.%s changes nothing in the core's policy", section, key)
			}
		}
	}
}
