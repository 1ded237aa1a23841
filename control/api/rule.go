package api

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// ParseNetworkRule reads NETWORK, NETWORK:PORT or NETWORK:FROM-TO. An address alone is a network of one.
func ParseNetworkRule(text string) (r NetworkRule, err error) {
	wrong := fmt.Errorf("rule %q is not one; expected a network, and maybe a port or two: 10.1.0.0/16, 10.1.0.0/16:61617, 10.1.0.0/16:61614-61617", text)
	network := text
	// A colon is also in IPv6 addresses, which therefore need their length where there is a port.
	if i := strings.LastIndexByte(text, ':'); i > strings.LastIndexByte(text, '/') && (strings.Contains(text, "/") || strings.Count(text, ":") == 1) {
		var ports string
		network, ports = text[:i], text[i+1:]
		from, to, several := strings.Cut(ports, "-")
		if r.From, err = port(from); err == nil && several {
			r.To, err = port(to)
		}
		if err != nil || r.To != 0 && r.To < r.From {
			return r, wrong
		}
	}
	if a, err := netip.ParseAddr(network); err == nil {
		r.Network = netip.PrefixFrom(a, a.BitLen())
		return r, nil
	}
	if r.Network, err = netip.ParsePrefix(network); err != nil {
		return r, wrong
	}
	if r.Network != r.Network.Masked() {
		return r, fmt.Errorf("rule %q has bits behind its network's length; expected %s", text, r.Network.Masked())
	}
	return r, nil
}

func port(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err == nil && n == 0 {
		err = strconv.ErrRange
	}
	return uint16(n), err
}

// String is what ParseNetworkRule reads.
func (r NetworkRule) String() string {
	switch {
	case r.From == 0 && r.To == 0:
		return r.Network.String()
	case r.To == 0 || r.From == r.To:
		return fmt.Sprintf("%s:%d", r.Network, r.From)
	}
	return fmt.Sprintf("%s:%d-%d", r.Network, r.From, r.To)
}
