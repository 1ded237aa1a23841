package service

import (
	"context"
	"encoding/hex"
	"net/http"
	"net/netip"
	"time"

	"github.com/godwitmq/godwit/control/api"
	"github.com/godwitmq/godwit/control/plane"
)

// Token is what a machine joins with.
type Token struct {
	Text        string
	Secret      [32]byte // SHA-256 of its secret
	Addresses   []string
	Fingerprint [32]byte // SHA-256 of the certificate of the authority of machines
}

// inviteLife is how long a token is good if nobody says.
const inviteLife = time.Hour

// Nodes lists the nodes, then the invites that were not used yet, each by name.
func (s *Service) Nodes() ([]api.Node, error) {
	state, err := s.state()
	if err != nil {
		return nil, plain("nodes", err)
	}
	list := []api.Node{}
	for _, n := range state.Nodes() {
		v := api.Node{Name: n.Name, State: "up", Zone: n.Zone, Subnets: orNone(n.Subnets), Range: n.Range.String(), MaxInstances: n.Instances, MaxMemory: n.MemoryBytes, Local: n.Name == s.options.Node, Draining: n.Draining}
		v.MemoryBytes, v.Instances = state.Load(n.Name)
		if n.Draining {
			v.State = "draining"
		}
		if !v.Local {
			v.Seen = s.seen(n.Name)
			if since := v.Seen; time.Since(later(since, s.began)) > s.options.NodeTimeout {
				v.State = "lost"
			}
		}
		list = append(list, v)
	}
	for _, i := range state.Invites() {
		if i.Used.IsZero() && i.Expires.After(time.Now()) {
			list = append(list, api.Node{Name: i.Name, State: "invited", Zone: i.Zone, Subnets: orNone(i.Subnets), Range: i.Range.String(), MaxInstances: i.Instances, MaxMemory: i.MemoryBytes, Expires: i.Expires})
		}
	}
	return list, nil
}

func (s *Service) seen(node string) time.Time {
	if p := s.options.Plane(); p != nil {
		return p.NodeLastSeen(node)
	}
	return time.Time{}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func orNone(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// InviteNode makes a token for a machine that is to be a node. Of it the control plane keeps a hash of the secret.
func (s *Service) InviteNode(ctx context.Context, who, from string, ask api.InviteNode) (*api.InvitedNode, error) {
	op := "nodes invite " + ask.Name
	wrong := func(status int, code, detail string) error {
		return &api.Error{Status: status, Code: code, Op: op, Detail: detail}
	}
	if s.options.Token == nil {
		return nil, wrong(http.StatusConflict, "illegal state", "no machine can join: set service.nodes.listen in the configuration to HOST:PORT where machines reach this one, and start it again")
	}
	of, err := netip.ParsePrefix(ask.Range)
	if err != nil {
		address, aerr := netip.ParseAddr(ask.Range)
		if aerr != nil {
			return nil, wrong(http.StatusBadRequest, "malformed", "the range of addresses that instances get is to be for example 10.0.2.0/27, or one address")
		}
		of = netip.PrefixFrom(address, address.BitLen())
	}
	lasts := time.Duration(ask.Seconds) * time.Second
	if ask.Seconds == 0 {
		lasts = inviteLife
	}
	if ask.Seconds < 0 || ask.Seconds > int64(7*24*time.Hour/time.Second) {
		return nil, wrong(http.StatusBadRequest, "malformed", "a token is good for at most 7 days")
	}
	token, err := s.options.Token(ask.Name, ask.Addresses)
	if err != nil {
		return nil, wrong(http.StatusBadRequest, "malformed", err.Error())
	}
	change, err := s.operate(ctx, plane.Origin{Who: who, From: from}, op, plane.InviteNode{Secret: hex.EncodeToString(token.Secret[:]), Expires: time.Now().Add(lasts),
		Node: plane.RegisterNode{Name: ask.Name, Zone: ask.Zone, Subnets: ask.Subnets, Range: of, MemoryBytes: ask.MemoryBytes, Instances: ask.MaxInstances}})
	if err != nil {
		return nil, err
	}
	return &api.InvitedNode{Name: ask.Name, Token: token.Text, Expires: change.State.Invite(ask.Name).Expires, Addresses: token.Addresses, Fingerprint: hex.EncodeToString(token.Fingerprint[:])}, nil
}

// DrainNode has all instances of a node move away, or takes that back.
func (s *Service) DrainNode(ctx context.Context, who, from, name string, drain bool) error {
	_, err := s.operate(ctx, plane.Origin{Who: who, From: from}, "nodes drain "+name, plane.DrainNode{Name: name, Drain: drain})
	return err
}

// RemoveNode forgets a node.
func (s *Service) RemoveNode(ctx context.Context, who, from, name string, lost bool) error {
	if name == s.options.Node {
		return &api.Error{Status: http.StatusConflict, Code: "in use", Op: "nodes remove " + name, Detail: "the control plane is on this node, which cannot be removed; draining it keeps instances away"}
	}
	_, err := s.operate(ctx, plane.Origin{Who: who, From: from}, "nodes remove "+name, plane.RemoveNode{Name: name, Lost: lost})
	return err
}
