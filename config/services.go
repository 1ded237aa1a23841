package config

import (
	"fmt"
	"net/netip"
)

// Service is a group of clients, for people.
type Service struct {
	Name      string   `yaml:"name" doc:"The service's name. Entries of one name are one service."`
	ClientIDs []string `yaml:"clientIDs" doc:"Client ids; * stands for any text. Of each kind that an entry has, one must fit."`
	Users     []string `yaml:"users" doc:"User names; * stands for any text."`
	Addresses []string `yaml:"addresses" doc:"Addresses or networks: 10.0.3.7, 10.0.4.0/24."`
}

// Networks are the addresses as networks; Validate has seen to it that they are.
func (s Service) Networks() []netip.Prefix {
	var all []netip.Prefix
	for _, text := range s.Addresses {
		if p, err := network(text); err == nil {
			all = append(all, p)
		}
	}
	return all
}

func network(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil {
		return netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	return p.Masked(), err
}

func (k checker) services() {
	for i, s := range k.config.Services {
		key := fmt.Sprintf("services[%d]", i)
		k.check(s.Name != "", key+".name", "is missing; expected the service's name")
		k.check(len(s.ClientIDs)+len(s.Users)+len(s.Addresses) > 0, key, "fits every client; expected clientIDs, users or addresses")
		for j, text := range s.Addresses {
			_, err := network(text)
			k.check(err == nil, fmt.Sprintf("%s.addresses[%d]", key, j), "%q is no address and no network; expected for example 10.0.3.7 or 10.0.4.0/24", text)
		}
	}
}
