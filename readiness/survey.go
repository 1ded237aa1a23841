package readiness

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Service is a group of connections.
type Service struct {
	Name        string `json:"name"`
	By          string `json:"by"` // what groups them: configuration, user, client id, address
	Connections int    `json:"connections"`
	// Nodes is how many came to each instance; a broker alone has one without a name.
	Nodes    map[string]int `json:"nodes"`
	Verdict  Level          `json:"verdict"`
	Findings []Finding      `json:"findings,omitempty"` // of all connections, alike ones once
	Clients  []Client       `json:"clients,omitempty"`  // the connections themselves, where they were asked for
}

// Survey groups those that the first of the instances serves, and judges them by what all of them have seen, and by the addresses of all of them.
func Survey(seen []Seen, consumers map[uint64][]Consumer, rules []Rule, s Situation, now time.Time) []Service {
	s.Addresses = map[string][]string{}
	for i := range seen {
		for scheme, list := range seen[i].Addresses {
			s.Addresses[scheme] = append(s.Addresses[scheme], list...)
		}
	}
	groups := map[string]*Service{}
	for i := range seen[0].Here {
		f := &seen[0].Here[i]
		name, by := service(rules, f)
		group := groups[name]
		if group == nil {
			group = &Service{Name: name, By: by, Nodes: map[string]int{}, Verdict: Ready}
			groups[name] = group
		}
		key := f.Key()
		var pasts []Past
		c := Client{Facts: *f, Service: name, Consumers: consumers[f.ID]}
		for _, other := range seen {
			pasts = append(pasts, other.Past[key])
			if p := other.Probed[key]; p != nil && (c.Probed == nil || c.Probed.At.Before(p.At)) {
				c.Probed = p
			}
		}
		c.Returned, c.Reconnects = join(pasts...).returns(now.Add(-Lately))
		c.Findings = Judge(&c, s)
		c.Verdict = worst(c.Findings)
		group.add(c)
	}
	all := make([]Service, 0, len(groups))
	for _, group := range groups {
		slices.SortFunc(group.Clients, func(a, b Client) int { return cmp.Compare(a.ID, b.ID) })
		slices.SortStableFunc(group.Findings, func(a, b Finding) int {
			return cmp.Or(cmp.Compare(b.Level.Rank(), a.Level.Rank()), first(a.Failover, b.Failover), cmp.Compare(b.Connections, a.Connections), strings.Compare(a.Code, b.Code), strings.Compare(a.Text, b.Text))
		})
		all = append(all, *group)
	}
	slices.SortFunc(all, func(a, b Service) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// first orders what is so before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

func worst(found []Finding) Level {
	if len(found) == 0 {
		return Ready
	}
	return found[0].Level
}

// maxAlike is how many findings of one code a service's list has: clients differ in figures that are in the texts.
const maxAlike = 3

func (g *Service) add(c Client) {
	g.Clients = append(g.Clients, c)
	g.Connections++
	g.Nodes[c.Node]++
	if c.Verdict.Rank() > g.Verdict.Rank() {
		g.Verdict = c.Verdict
	}
	for _, f := range c.Findings {
		alike, last := 0, -1
		at := slices.IndexFunc(g.Findings, func(x Finding) bool { return x.Code == f.Code && x.Level == f.Level && x.Text == f.Text })
		for i, x := range g.Findings {
			if x.Code == f.Code && x.Level == f.Level {
				alike, last = alike+1, i
			}
		}
		switch {
		case at >= 0:
			g.Findings[at].Connections++
		case alike >= maxAlike:
			g.Findings[last].Connections++
		default:
			f.Connections = 1
			g.Findings = append(g.Findings, f)
		}
	}
}

// Stays gives the findings for which it would not follow, or for which nobody knows.
func (g *Service) Stays() (found []Finding) {
	for _, f := range g.Findings {
		if f.Failover {
			found = append(found, f)
		}
	}
	return found
}

// Candidate gives the connection of that id, or for 0 the one that a probe says most about: the oldest of which it is not known whether its client comes back, else
// the oldest. nil: there is none of that id.
func (g *Service) Candidate(id uint64) *Client {
	var best *Client
	for i := range g.Clients {
		c := &g.Clients[i]
		unknown := c.Returned == nil && c.Probed == nil
		switch {
		case id != 0:
			if c.ID == id {
				return c
			}
		case best == nil, unknown && (best.Returned != nil || best.Probed != nil):
			best = c
		}
	}
	return best
}
