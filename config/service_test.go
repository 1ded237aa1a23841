package config

import (
	"net/netip"
	"strings"
	"testing"
)

func TestService(t *testing.T) {
	tests := map[string]struct{ yaml, want string }{
		"off, whatever the rest says": {"{account: x, addresses: y}", ""},
		"on":                          {"{enabled: true}", ""},
		"all of it":                   {"{enabled: true, account: '123456789012', region: us-east-1, node: n1, zone: z, subnets: [a, b], addresses: 10.1.0.0/24, memory: 8GiB, instances: 10, burst: 5, rate: 2}", ""},
		"one address":                 {"{enabled: true, addresses: 10.1.0.7}", ""},
		"account":                     {"{enabled: true, account: '12'}", `service.account: "12" is no account`},
		"region":                      {"{enabled: true, region: EU}", `service.region: "EU" is no region`},
		"node":                        {"{enabled: true, node: a b}", `service.node: "a b" is not allowed`},
		"zone":                        {"{enabled: true, zone: a b}", `service.zone: "a b" is not allowed`},
		"subnets":                     {"{enabled: true, subnets: [a, b c]}", `service.subnets: "b c" is not allowed`},
		"addresses":                   {"{enabled: true, addresses: here}", `service.addresses: "here" is no range`},
		"all addresses":               {"{enabled: true, addresses: 0.0.0.0/0}", `service.addresses: "0.0.0.0/0" is no range`},
		"bits":                        {"{enabled: true, addresses: 10.1.0.7/24}", "service.addresses: \"10.1.0.7/24\" has bits behind its length; expected 10.1.0.0/24"},
		"instances":                   {"{enabled: true, instances: -1}", "service.instances: -1 is negative"},
		"burst":                       {"{enabled: true, burst: 0}", "service.burst: 0 is out of range"},
		"rate":                        {"{enabled: true, rate: 0}", "service.rate: 0 is out of range"},
		"no API":                      {"{enabled: true}\nhttp: {address: off}", "service.enabled: needs the HTTP API"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("godwit.yaml", []byte("service: "+tt.yaml+"\n"))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	c, err := Parse("godwit.yaml", []byte("service: {enabled: true, region: us-east-1, addresses: 10.1.0.7}\n"))
	if err != nil || c.Service.ZoneName() != "us-east-1a" || c.Service.Range() != netip.MustParsePrefix("10.1.0.7/32") {
		t.Errorf("%+v, %v", c.Service, err)
	}
}
